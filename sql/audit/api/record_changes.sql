-- What a record of the log stands for. To print it and read that is quicker than to put jsonb
-- together.
create or replace function audit.record_changes(layout integer, row_values text, is_deleted boolean)
  returns jsonb
  language sql
  immutable
  cost 10000
  set search_path = pg_catalog, pg_temp
as $$
  select audit.record_text(layout, row_values, is_deleted)::jsonb
$$;

-- Whoever was granted a view of the log must be able to read it.
grant execute on function audit.record_changes(integer, text, boolean) to public;

comment on function audit.record_changes(integer, text, boolean) is
  'Public. What a record of the log stands for, as audit.events shows it in changes.';
