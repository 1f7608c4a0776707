-- A compiled function goes to the role whose rights it shall have, and trigger functions may call
-- it.
create or replace function audit.give_function(name text, role text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_role name := audit.role_for(role);
begin
  perform audit.hand_over(name, v_role);
  execute format('revoke all on function audit.%I from public', name);
  if v_role <> audit.role_for('audit_writer') then
    execute format('grant execute on function audit.%I to %I', name, audit.role_for('audit_writer'));
  end if;
end;
$$;

revoke all on function audit.give_function(text, text) from public;

comment on function audit.give_function(text, text) is
  'Gives a compiled function to the role whose rights it shall have.';
