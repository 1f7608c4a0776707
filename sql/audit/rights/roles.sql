-- Who may do what with the log: three roles of the cluster that others are made members of. Where
-- the installing role may create none, audit.grant_rights() says what to run, and is run again.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['audit_reader', 'audit_exporter', 'audit_maintainer'] loop
    if to_regrole(v_role) is null
      and (select r.rolcreaterole or r.rolsuper from pg_roles as r where r.rolname = current_user)
    then
      begin
        execute format('create role %I nologin', v_role);
      exception
        -- Somebody installs in another database of the cluster at this moment.
        when duplicate_object or unique_violation then
          raise notice 'role % is there already', v_role;
      end;
    end if;
  end loop;
end;
$$;
