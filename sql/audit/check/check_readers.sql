-- Whether readers get to the log as they should: by their roles, and through views that obey the
-- rights of who reads.
create or replace function audit.check_readers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with reading (oid) as materialized (
    select r from audit.relations_reading() as r
  )
  select 'role_missing', 'warning', r.role,
    'The role is not there, so nobody has its rights.',
    format('create role %I nologin; select audit.grant_rights();', r.role)
  from (select distinct r.role from audit.role_rights() as r) as r
  where to_regrole(r.role) is null
  union all
  select 'grant_missing', 'warning', r.role,
    format('The role lacks rights that it should have: %s.',
      string_agg(format('%s on %s', r.privilege, r.object), ', ' order by r.object, r.privilege)),
    'select audit.grant_rights();'
  from audit.role_rights() as r
  where to_regrole(r.role) is not null
    and not case when r.is_function then has_function_privilege(r.role, r.object, r.privilege)
      else has_table_privilege(r.role, r.object, r.privilege) end
  group by r.role
  union all
  select 'view_bypasses', 'error', audit.name_of(c.oid),
    'The view reads the log with the rights of its owner: it shows everybody who may read it '
    'the rows of every account.',
    format('alter view %s set (security_invoker = true);', audit.name_of(c.oid))
  from reading as r
  join pg_class as c on c.oid = r.oid and c.relkind = 'v'
  where not coalesce((
      select o.option_value::boolean from pg_options_to_table(c.reloptions) as o
      where o.option_name = 'security_invoker'), false)
$$;

revoke all on function audit.check_readers() from public;

comment on function audit.check_readers() is
  'Findings: rights that the roles lack, and views that show more than their readers may see.';
