-- Whether a parent is still there, by the values of a foreign key to it.
create or replace function audit.parent_query(
  parent regclass, parent_columns text[], operators text[], vals text[], types oid[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('not exists (select from %I.%I as _audit_p where %s)', n.nspname, c.relname, (
    select string_agg(format('_audit_p.%s %s %s', audit.quoted(k.name), k.operator,
        case when audit.is_builtin(k.type) then k.value
          else format('(%s)::%s', k.value, format_type(k.type, null)) end), ' and ' order by k.n)
    from unnest(parent_columns, operators, vals, types)
      with ordinality as k (name, operator, value, type, n)))
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = parent
$$;

revoke all on function audit.parent_query(regclass, text[], text[], text[], oid[]) from public;

comment on function audit.parent_query(regclass, text[], text[], text[], oid[]) is
  'SQL that says whether the row that a foreign key refers to is gone.';
