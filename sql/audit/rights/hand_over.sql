-- A function goes to a role. A role that is no superuser may give only to one that may create in
-- the schema, which is so for this moment alone.
create or replace function audit.hand_over(name text, role name)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_lends boolean := not has_schema_privilege(role, 'audit', 'create')
    and not (select r.rolsuper from pg_roles as r where r.rolname = current_user);
begin
  if v_lends then
    execute format('grant create on schema audit to %I', role);
  end if;
  execute format('alter function audit.%I owner to %I', name, role);
  if v_lends then
    execute format('revoke create on schema audit from %I', role);
  end if;
end;
$$;

revoke all on function audit.hand_over(text, name) from public;

comment on function audit.hand_over(text, name) is 'Gives a function of schema audit to a role.';
