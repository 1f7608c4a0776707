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
      when audit.is_kept(type) then expression
      -- An array of a domain: by its output function, never by a cast that somebody made.
      when k.is_foreign_array then format('(case when num_nulls(%1$s) = 0 then concat(%1$s) end)::%2$s',
        expression, k.kept_as)
      when k.element >= 16384 or type = 'bytea'::regtype then audit.json_value(type, expression, true)
      else format('%s::%s', expression, k.kept_as) end,
    k.kept_as
  from (
    select
      e.element,
      type >= 16384 and e.element < 16384 as is_foreign_array,
      format('pg_catalog.%s', case
        when audit.is_kept(type) then (select quote_ident(y.typname) from pg_type as y where y.oid = type)
        when e.element = type then 'text'
        when type >= 16384 and e.element < 16384 and audit.is_kept(y.typarray)
          then (select quote_ident(a.typname) from pg_type as a where a.oid = y.typarray)
        else 'text[]' end) as kept_as
    from (select audit.element_of(record_value.type) as element) as e
    join pg_type as y on y.oid = e.element
  ) as k
$$;

revoke all on function audit.record_value(oid, text) from public;

comment on function audit.record_value(oid, text) is
  'SQL that turns a column into what a record of the log holds, and the type of that.';
