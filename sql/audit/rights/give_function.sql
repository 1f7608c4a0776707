-- A compiled function goes to the role whose rights it shall have. A role that is no superuser may give
-- only to one that may create in the schema, which is so for this moment alone.
create or replace function audit.give_function(name text, role text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_role name := audit.role_for(role);
  v_lends boolean := not has_schema_privilege(v_role, 'audit', 'create')
    and not (select r.rolsuper from pg_roles as r where r.rolname = current_user);
begin
  if v_lends then
    execute format('grant create on schema audit to %I', v_role);
  end if;
  execute format('alter function audit.%I owner to %I', name, v_role);
  if v_lends then
    execute format('revoke create on schema audit from %I', v_role);
  end if;
  execute format('revoke all on function audit.%I from public', name);
  if v_role <> audit.role_for('audit_writer') then
    execute format('grant execute on function audit.%I to %I', name, audit.role_for('audit_writer'));
  end if;
end;
$$;

revoke all on function audit.give_function(text, text) from public;

comment on function audit.give_function(text, text) is
  'Gives a compiled function to the role whose rights it shall have.';
