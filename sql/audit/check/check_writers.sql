-- Whose rights compiled functions have, and who else could take them. Members of the two roles may do
-- what the functions may: add any row to the log, read what is looked up.
create or replace function audit.check_writers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with role as (
    select r.oid, r.rolname
    from pg_roles as r
    where r.rolname in ('audit_writer', 'audit_lookup')
  )
  select 'function_rights', 'warning', r.rolname::text,
    format('The owner of the log may not give functions to %s, so that triggers write with all rights '
      'of the owner.', r.rolname),
    format('grant %I to %I; select audit.refresh();', r.rolname, audit.role_for('owner'))
  from role as r
  where audit.role_for(r.rolname) <> r.rolname and exists (select from audit.tracked)
  union all
  select 'role_member', 'warning', format('%I in %I', m.rolname, r.rolname),
    format('%I is a member of %I, and so may %s. The role is for compiled functions alone.', m.rolname,
      r.rolname, case r.rolname when 'audit_writer' then 'add any row to the log'
        else 'read the columns that tracked tables look up' end),
    format('revoke %I from %I;', r.rolname, m.rolname)
  from role as r
  join pg_auth_members as g on g.roleid = r.oid
  join pg_roles as m on m.oid = g.member
  where not audit.is_trusted(m.oid)
$$;

revoke all on function audit.check_writers() from public;

comment on function audit.check_writers() is
  'Findings: compiled functions with more rights than they need, members of their roles.';
