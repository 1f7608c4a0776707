-- Who may write the log, or read a partition. Partitions are read through the log: a right on one
-- itself is never needed.
create or replace function audit.check_rights()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with relation as (
    select c.oid, c.relowner, c.relacl, audit.name_of(c.oid) as name, c.relkind = 'p' as is_log
    from pg_partition_tree('audit.log') as p
    join pg_class as c on c.oid = p.relid
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
    where (not g.is_log or g.grantee = 0 or g.privilege_type <> 'SELECT')
      -- The role that compiled functions belong to.
      and not (g.is_log and g.privilege_type = 'INSERT'
        and coalesce(g.grantee = to_regrole('audit_writer'), false))
    group by g.name, g.grantee, g.is_log
  )
  select 'log_granted', 'error', format('%s to %s', g.name, g.role),
    format('The privilege %s on %s lets rows be read or written past the triggers and the '
      'policies of the log.', g.privileges, g.name),
    format('revoke %s on %s from %s;', case when g.is_log then g.privileges else 'all' end,
      g.name, g.role)
  from grantee as g
$$;

revoke all on function audit.check_rights() from public;

comment on function audit.check_rights() is
  'Findings: rights that let the wrong people write the log, or read partitions of it.';
