-- Whether DDL left a tracked table different from what was compiled for it.
create or replace function audit.is_stale(t audit.tracked, touched oid[])
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set jit = off
as $$
  select audit.name_of(t.target) is null
    or audit.name_of(t.target) <> t.compiled ->> 'name'
    or exists (
      select from jsonb_object_keys(t.compiled -> 'triggers') as g
      where not audit.has_trigger(t.target, g, true))
    or exists (
      select from pg_partition_tree(t.target) as p
      where not audit.has_trigger(p.relid, '_audit_truncate', true))
    or (t.tables::oid[] && touched
      and (audit.fingerprint(t) <> t.compiled ->> 'fingerprint'
        or not t.compiled @> to_jsonb(audit.compile_table(t))))
$$;

revoke all on function audit.is_stale(audit.tracked, oid[]) from public;

comment on function audit.is_stale(audit.tracked, oid[]) is
  'Whether a tracked table, one of those touched, no longer fits what was compiled for it.';
