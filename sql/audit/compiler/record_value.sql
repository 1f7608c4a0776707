-- How a value of a type gets into a record of the log, and as what.
create or replace function audit.record_value(
  type oid, expression text, out value text, out kept_as text
)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    case when k.is_kept then expression
      when type = 'bytea'::regtype then audit.json_value(type, expression, true)
      else format('%s::%s', expression, k.kept_as) end,
    k.kept_as
  from (
    select i.is_kept, format('pg_catalog.%s', case when i.is_kept then quote_ident(p.typname)
        when audit.element_of(type) = type then 'text' else 'text[]' end) as kept_as
    from (select audit.is_kept(type) as is_kept) as i
    join pg_type as p on p.oid = type
  ) as k
$$;

revoke all on function audit.record_value(oid, text) from public;

comment on function audit.record_value(oid, text) is
  'SQL that turns a presented value into what a record of the log holds, and the type of that.';
