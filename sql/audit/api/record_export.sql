-- Whoever takes rows out of the database leaves a row about it.
create or replace function audit.record_export(details jsonb)
  returns bigint
  language sql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
  select audit.write_log_event('log_exported', details ->> 'account_id', details)
$$;

revoke all on function audit.record_export(jsonb) from public;

comment on function audit.record_export(jsonb) is
  'Public. Writes the row log_exported: what was exported, as an object with range, rows, hash; '
  'returns its id.';
