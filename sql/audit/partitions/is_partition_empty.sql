-- Only an empty partition is ever taken out of the way.
create or replace function audit.is_partition_empty(partition text)
  returns boolean
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_empty boolean;
begin
  execute format('select not exists (select from audit.%I)', is_partition_empty.partition)
    into v_is_empty;
  return v_is_empty;
end;
$$;

revoke all on function audit.is_partition_empty(text) from public;

comment on function audit.is_partition_empty(text) is 'Whether a partition of the log has no rows.';
