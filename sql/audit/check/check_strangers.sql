-- What hands the log to others beside its views: materialised views, which hold its rows without its
-- policies, and functions that read it with the rights of their owner. The text of a function is
-- searched for the names, so one that puts them together is not found.
create or replace function audit.check_strangers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with reading (oid) as materialized (
    select r from audit.relations_reading() as r
  )
  select 'view_copies', 'error', audit.name_of(c.oid),
    format('The materialised view holds rows of the log, which no policy keeps apart, for %s.',
      string_agg(distinct case x.grantee when 0 then 'public'
        else quote_ident(pg_get_userbyid(x.grantee)) end, ', ')),
    string_agg(distinct format('revoke all on %s from %s;', audit.name_of(c.oid),
      case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end), ' ')
  from reading as r
  join pg_class as c on c.oid = r.oid and c.relkind = 'm'
  cross join lateral aclexplode(c.relacl) as x
  where x.grantee <> c.relowner
  group by c.oid
  union all
  select 'function_bypasses', 'warning', f.oid::regprocedure::text,
    'The function reads the log with the rights of its owner, and everybody may call it.',
    format('revoke execute on function %s from public;', f.oid::regprocedure)
  from pg_proc as f
  where f.prosecdef and f.prokind in ('f', 'p')
    and f.pronamespace not in ('audit'::regnamespace, 'pg_catalog'::regnamespace)
    and exists (select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as x
                where x.grantee = 0 and x.privilege_type = 'EXECUTE')
    and (f.prosrc ~* '\maudit"?\s*\.\s*"?(log|events|changes|item_log|tree_log)'
      or exists (select from pg_depend as d
                 where d.classid = 'pg_proc'::regclass and d.objid = f.oid
                   and d.refclassid = 'pg_class'::regclass
                   and d.refobjid in (select r.oid from reading as r)))
  union all
  select 'log_published', 'info', quote_ident(p.pubname),
    'The publication takes rows of the log out of the database, to whoever subscribes to it.', ''
  from pg_publication as p
  where p.puballtables
    or exists (select from pg_publication_tables as t
               where t.pubname = p.pubname and t.schemaname = 'audit')
$$;

revoke all on function audit.check_strangers() from public;

comment on function audit.check_strangers() is
  'Findings: materialised views, functions and publications that hand the log to others.';
