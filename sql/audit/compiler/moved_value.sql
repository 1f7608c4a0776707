-- A column of a row on its way from one partition to another: the row is kept as text, column by
-- column, and never as the type of somebody's table.
create or replace function audit.moved_value(place bigint, type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('(_audit.v_row[%s])', place)
    || case when t.oid = 'text'::regtype then '' else format('::pg_catalog.%I', t.typname) end
  from pg_type as t
  where t.oid = moved_value.type
$$;

revoke all on function audit.moved_value(bigint, oid) from public;

comment on function audit.moved_value(bigint, oid) is
  'SQL for the value of a column, by its place, in a row that moves between partitions.';
