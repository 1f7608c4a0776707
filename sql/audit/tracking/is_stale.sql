-- Whether DDL left a tracked table different from what was compiled for it.
create or replace function audit.is_stale(t audit.tracked, touched oid[])
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set jit = off
as $$
  select audit.name_of(t.target) is null
    or audit.name_of(t.target) <> t.table_name
    or not audit.is_installed(t)
    or (t.tables::oid[] && touched and t.inputs <> audit.inputs_of(t))
$$;

revoke all on function audit.is_stale(audit.tracked, oid[]) from public;

comment on function audit.is_stale(audit.tracked, oid[]) is
  'Whether a tracked table, one of those touched, no longer fits what was compiled for it.';
