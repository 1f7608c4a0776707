-- Whether there is a boundary at all between a table's owner and the log: none where it is a superuser,
-- or the owner of the log itself.
create or replace function audit.is_trusted(role oid)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select r.rolsuper
    or r.oid = (select c.relowner from pg_class as c where c.oid = 'audit.log'::regclass)
  from pg_roles as r
  where r.oid = is_trusted.role
$$;

revoke all on function audit.is_trusted(oid) from public;

comment on function audit.is_trusted(oid) is
  'Whether a role is a superuser or the owner of the log.';
