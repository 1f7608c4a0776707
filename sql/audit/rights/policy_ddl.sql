-- A policy of the log as it is written for a partition of it.
create or replace function audit.policy_ddl(policy oid, relation regclass)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('create policy %I on %s as %s for %s to %s', p.polname,
      audit.name_of(policy_ddl.relation),
      case when p.polpermissive then 'permissive' else 'restrictive' end,
      case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
        when 'd' then 'delete' else 'all' end,
      (select string_agg(case o when 0 then 'public' else quote_ident(pg_get_userbyid(o)) end, ', ')
       from unnest(p.polroles) as o))
    || coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
    || coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
  from pg_policy as p
  where p.oid = policy_ddl.policy
$$;

revoke all on function audit.policy_ddl(oid, regclass) from public;

comment on function audit.policy_ddl(oid, regclass) is
  'The statement that makes a policy of the log on a partition.';
