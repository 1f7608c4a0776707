-- Whether a type is one of PostgreSQL's own, so that nobody below the superuser can give it a cast, an
-- operator or a check. Never a domain, nor the row type of a table.
create or replace function audit.is_builtin(type oid)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select t.oid < 16384
    and t.typtype in ('b', 'r', 'm')
    and coalesce(e.typtype in ('b', 'r', 'm'), true)
  from pg_type as t
  left join pg_type as e on e.oid = t.typelem and t.typlen = -1
  where t.oid = is_builtin.type
$$;

revoke all on function audit.is_builtin(oid) from public;

comment on function audit.is_builtin(oid) is 'Whether a type, or that of its elements, is PostgreSQL''s own.';
