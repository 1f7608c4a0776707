-- Rights of the three roles, as far as they exist, and row security: run at install, and after a DBA
-- created roles or policies.
create or replace function audit.grant_rights()
  returns setof text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_relation regclass;
  v_grant text;
  v_waits constant text := audit.bound_waits();
begin
  begin
    -- Of several upgrades at once the first grants; those after it find nothing to do. A table of
    -- the log's own, which nobody but its owner can lock.
    lock table audit.option in share row exclusive mode;
    for v_relation in select p.relid from pg_partition_tree('audit.log') as p order by p.level desc
    loop
      perform audit.protect(v_relation);
    end loop;

    if to_regrole('audit_exporter') is not null then
      foreach v_relation in array array['audit.presence', 'audit.belonging']::regclass[] loop
        if not exists (select from pg_policy as p
                       where p.polrelid = v_relation and p.polname = 'exporter_policy') then
          execute format('create policy exporter_policy on %s for select to audit_exporter '
            'using (not audit.has_own_policies())', audit.name_of(v_relation));
        end if;
      end loop;
    end if;

    for v_grant in
      select format('grant %s on %s%s to %I', r.privilege,
        case when r.is_function then 'function ' else '' end, r.object, r.role)
      from audit.role_rights() as r
      where to_regrole(r.role) is not null
        and not case when r.is_function then has_function_privilege(r.role, r.object, r.privilege)
          else has_table_privilege(r.role, r.object, r.privilege) end
    loop
      execute v_grant;
    end loop;
  exception
    when lock_not_available then
      perform audit.gave_up(
        array['audit.option', 'audit.log', 'audit.presence', 'audit.belonging']);
  end;
  perform set_config('lock_timeout', v_waits, true);

  return query
    select format('create role %I nologin;', r.name)
    from unnest(array['audit_reader', 'audit_exporter', 'audit_maintainer']) as r (name)
    where to_regrole(r.name) is null;
  if found then
    return next 'select audit.grant_rights();';
  end if;
end;
$$;

revoke all on function audit.grant_rights() from public;

comment on function audit.grant_rights() is
  'Public. Gives the roles of the log their rights; returns what a DBA has to run where one is '
  'missing.';
