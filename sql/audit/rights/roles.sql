-- Who may do what with the log: three roles of the cluster that others are made members of, and two
-- that nobody is to be a member of but the log's owner, which gives compiled functions to them. Where
-- the installing role may create none, audit.grant_rights() says what to run, and is run again.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['audit_reader', 'audit_exporter', 'audit_maintainer',
    'audit_writer', 'audit_lookup']
  loop
    if to_regrole(v_role) is null
      and (select r.rolcreaterole or r.rolsuper from pg_roles as r where r.rolname = current_user)
    then
      begin
        execute format('create role %I nologin', v_role);
        -- On 16 and later whoever creates a role may grant it, but is not yet a member that may use it.
        if v_role in ('audit_writer', 'audit_lookup')
          and not (select r.rolsuper from pg_roles as r where r.rolname = current_user)
        then
          execute format('grant %I to current_user', v_role);
        end if;
      exception
        -- Somebody installs in another database of the cluster at this moment.
        when duplicate_object or unique_violation then
          raise notice 'role % is there already', v_role;
      end;
    end if;
  end loop;
end;
$$;
