-- How a value of a type gets into a record of the log, and as what.
create or replace function audit.record_value(
  type oid, expression text, out value text, out kept_as text
)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    case
      when k.is_kept then expression
      when e.is_foreign or type = 'bytea'::regtype then audit.json_value(type, expression, true)
      else format('%s::pg_catalog.%s', expression, k.name) end,
    format('pg_catalog.%s', case when k.is_kept then
      (select quote_ident(y.typname) from pg_type as y where y.oid = record_value.type)
      else k.name end)
  from (
    select audit.element_of(type) >= 16384 as is_foreign,
      audit.element_of(type) <> type as is_array
  ) as e
  cross join lateral (
    select audit.is_kept(type) as is_kept, case when e.is_array then 'text[]' else 'text' end as name
  ) as k
$$;

revoke all on function audit.record_value(oid, text) from public;

comment on function audit.record_value(oid, text) is
  'SQL that turns a column into what a record of the log holds, and the type of that.';
