-- When a declaration ends, nothing is left of what its functions could read, but what another one
-- needs.
create or replace function audit.revoke_reading(tables regclass[])
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_relation regclass;
  v_schema text;
  v_role name;
begin
  for v_relation, v_schema, v_role in
    select c.oid, n.nspname, r.rolname
    from unnest(tables) as u (relation)
    join pg_class as c on c.oid = u.relation
    join pg_namespace as n on n.oid = c.relnamespace
    cross join pg_roles as r
    where r.rolname in ('audit_writer', 'audit_lookup')
      and not exists (select from audit.tracked as k
                      where k.tables::oid[] @> array[u.relation::oid])
      and exists (select from pg_attribute as a cross join lateral aclexplode(a.attacl) as x
                  where a.attrelid = c.oid and x.grantee = r.oid)
  loop
    execute format('revoke select on %s from %I', audit.name_of(v_relation), v_role);
    if not exists (
      select from pg_attribute as a
      join pg_class as c on c.oid = a.attrelid
      cross join lateral aclexplode(a.attacl) as x
      where c.relnamespace = to_regnamespace(format('%I', v_schema))
        and x.grantee = to_regrole(v_role::text))
    then
      execute format('revoke usage on schema %I from %I', v_schema, v_role);
    end if;
  end loop;
end;
$$;

revoke all on function audit.revoke_reading(regclass[]) from public;

comment on function audit.revoke_reading(regclass[]) is
  'Takes the right to read tables from the roles of compiled functions where none needs it.';
