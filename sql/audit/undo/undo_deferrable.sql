-- The constraints that may wait, where it takes a second try; those that wait anyway are left so. A
-- name stands for all constraints of a schema that are called so.
create or replace function audit.undo_deferrable()
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select string_agg(format('%I.%I', n.nspname, c.name), ', ')
  from (
    select c.connamespace, c.conname as name
    from pg_constraint as c
    where c.conrelid in (select k.target from audit.tracked as k)
      and c.contype in ('f', 'u', 'p', 'x')
    group by 1, 2
    having bool_and(c.condeferrable and not c.condeferred)
  ) as c
  join pg_namespace as n on n.oid = c.connamespace
  where not exists (
    select from pg_constraint as o
    where o.connamespace = c.connamespace and o.conname = c.name and not o.condeferrable)
$$;

revoke all on function audit.undo_deferrable() from public;

comment on function audit.undo_deferrable() is
  'The constraints of tracked tables that can be deferred, as SET CONSTRAINTS takes them.';
