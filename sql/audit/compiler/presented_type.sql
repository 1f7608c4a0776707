-- As what compiled functions see a value: as it is where its type is PostgreSQL's own, else as the
-- type that is below its domains, or as text.
create or replace function audit.presented_type(type oid)
  returns oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when audit.is_builtin(presented_type.type) then presented_type.type else (
    with recursive base (type) as (
      select presented_type.type
      union all
      select t.typbasetype from base as b join pg_type as t on t.oid = b.type where t.typtype = 'd'
    )
    select case
      when audit.is_builtin(b.type) then b.type
      when t.typlen <> -1 or t.typelem = 0 then 'text'::regtype
      when audit.is_builtin(e.oid) and e.typarray <> 0 then e.typarray
      else 'text[]'::regtype end
    from base as b
    join pg_type as t on t.oid = b.type and t.typtype <> 'd'
    join pg_type as e on e.oid = audit.element_of(b.type)) end
$$;

revoke all on function audit.presented_type(oid) from public;

comment on function audit.presented_type(oid) is 'The type in which compiled functions see a value.';
