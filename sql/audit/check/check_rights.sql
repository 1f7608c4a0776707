-- Who may write the log, or read it past its row security. Partitions are the same as the log, or a
-- reader who names one sees what the log hides.
create or replace function audit.check_rights()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with relation as (
    select c.oid, c.relowner, c.relacl, c.relrowsecurity, audit.name_of(c.oid) as name,
      c.relkind = 'p' as is_log
    from pg_partition_tree('audit.log') as p
    join pg_class as c on c.oid = p.relid
  ), log as (
    select r.* from relation as r where r.is_log
  ), policy as (
    select p.polrelid, p.polname, p.polpermissive, p.polcmd, p.polroles,
      pg_get_expr(p.polqual, p.polrelid) as visible,
      pg_get_expr(p.polwithcheck, p.polrelid) as checked
    from pg_policy as p
    where p.polrelid in (select r.oid from relation as r)
  ), granted as (
    select r.oid, r.name, r.is_log, a.grantee, a.privilege_type
    from relation as r
    cross join lateral aclexplode(r.relacl) as a
    where a.grantee <> r.relowner
    union
    select r.oid, r.name, r.is_log, a.grantee, a.privilege_type
    from relation as r
    join pg_attribute as t on t.attrelid = r.oid
    cross join lateral aclexplode(t.attacl) as a
    where a.grantee <> r.relowner
  ), grantee as (
    select g.name, case g.grantee when 0 then 'public'
        else quote_ident(pg_get_userbyid(g.grantee)) end as role,
      g.is_log, string_agg(distinct lower(g.privilege_type), ', '
        order by lower(g.privilege_type)) as privileges
    from granted as g
    where not g.is_log or g.grantee = 0 or g.privilege_type <> 'SELECT'
    group by g.name, g.grantee, g.is_log
  )
  select 'log_granted', 'error', format('%s to %s', g.name, g.role),
    format('The privilege %s on %s lets rows be read or written past the triggers and the '
      'policies of the log.', g.privileges, g.name),
    format('revoke %s on %s from %s;', case when g.is_log then g.privileges else 'all' end,
      g.name, g.role)
  from grantee as g
  -- Without row security a right on a partition to read gives no more than one on the log.
  where g.is_log or g.privileges <> 'select' or (select l.relrowsecurity from log as l)
  union all
  select 'row_security_missing', 'error', r.name,
    'Whoever may read this partition sees the rows of every account in it.',
    format('alter table %s enable row level security;', r.name)
  from relation as r
  join log as l on l.relrowsecurity
  where not r.relrowsecurity
  union all
  select 'policy_missing', 'error', format('%I on %s', p.polname, r.name),
    'The policy of the log is not on this partition, or is another one there.',
    case when m.polname is not null then format('drop policy %I on %s; ', p.polname, r.name)
      else '' end
    || format('create policy %I on %s as %s for %s to %s%s%s;', p.polname, r.name,
      case when p.polpermissive then 'permissive' else 'restrictive' end,
      case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
        when 'd' then 'delete' else 'all' end,
      (select string_agg(case o when 0 then 'public' else quote_ident(pg_get_userbyid(o)) end,
        ', ') from unnest(p.polroles) as o),
      ' using (' || p.visible || ')', ' with check (' || p.checked || ')')
  from log as l
  cross join relation as r
  cross join lateral (
    -- What the log should have it may have lost itself: then a partition says how it was.
    select distinct on (p.polname) p.*
    from policy as p
    where p.polrelid = l.oid or p.polname = 'account_policy'
    order by p.polname, p.polrelid <> l.oid, p.polrelid
  ) as p
  left join policy as m on m.polrelid = r.oid and m.polname = p.polname
  where l.relrowsecurity
    and (m.polpermissive, m.polcmd, m.polroles, m.visible, m.checked)
      is distinct from (p.polpermissive, p.polcmd, p.polroles, p.visible, p.checked)
  union all
  select 'policy_missing', 'error', 'account_policy on audit.log',
    'No policy keeps the accounts apart.', 'select audit.grant_rights();'
  from log as l
  where l.relrowsecurity
    and not exists (select from policy as p where p.polname = 'account_policy')
  union all
  select 'policy_extra', 'error', format('%I on %s', p.polname, r.name),
    'This policy is not one of the log: it may show rows that the log hides.',
    format('drop policy %I on %s;', p.polname, r.name)
  from policy as p
  join relation as r on r.oid = p.polrelid
  join log as l on l.relrowsecurity
  where not r.is_log and p.polname <> 'account_policy'
    and not exists (select from policy as o where o.polrelid = l.oid and o.polname = p.polname)
$$;

revoke all on function audit.check_rights() from public;

comment on function audit.check_rights() is
  'Findings: rights and policies that let the wrong people read or write the log.';
