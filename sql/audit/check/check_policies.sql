-- Whether the log and each partition show every reader one account. Partitions have the policies of
-- the log, or a reader who names one sees what the log hides.
create or replace function audit.check_policies()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with relation as (
    select c.oid, c.relrowsecurity, audit.name_of(c.oid) as name, c.relkind = 'p' as is_log
    from pg_partition_tree('audit.log') as p
    join pg_class as c on c.oid = p.relid
  ), policy as (
    select p.oid, p.polrelid, p.polname, jsonb_build_array(p.polpermissive, p.polcmd,
      p.polroles::text, pg_get_expr(p.polqual, p.polrelid),
      pg_get_expr(p.polwithcheck, p.polrelid)) as content
    from pg_policy as p
    where p.polrelid in (select r.oid from relation as r)
  ), opening as (
    -- Policies of the log that take from all readers what account_policy gives them.
    select p.oid
    from pg_policy as p
    where p.polrelid = 'audit.log'::regclass and p.polname <> 'account_policy' and p.polpermissive
      and p.polcmd <> 'a'
      and (0 = any (p.polroles) or to_regrole('audit_reader') = any (p.polroles))
  ), expected as (
    select o.polname::name, jsonb_build_array(true, o.command, array[o.polrole]::text, o.visible,
      o.writable) as content
    from (values
      ('account_policy', 0::oid, 'r',
       '(account_id = COALESCE(current_setting(''audit.account_id''::text, true), ''''::text))', null),
      ('exporter_policy', to_regrole('audit_exporter')::oid, 'r', 'true', null),
      ('writer_policy', to_regrole('audit_writer')::oid, 'a', null, 'true'))
      as o (polname, polrole, command, visible, writable)
    where o.polrole is not null
    union all
    -- What a DBA added to the log goes for its partitions too.
    select p.polname, p.content
    from policy as p
    where p.polrelid = 'audit.log'::regclass and p.oid not in (select o.oid from opening as o)
      and p.polname not in ('account_policy', 'exporter_policy', 'writer_policy')
  )
  select 'row_security_missing', 'error', r.name,
    'Whoever may read this table sees the rows of every account in it.',
    format('alter table %s enable row level security;', r.name)
  from relation as r
  where not r.relrowsecurity
  union all
  select 'policy_missing', 'error', format('%I on %s', e.polname, r.name),
    'A policy that keeps the accounts apart is not on this table, or is another one there.',
    case when p.oid is not null then format('drop policy %I on %s; ', p.polname, r.name) else '' end
    || 'select audit.grant_rights();'
  from relation as r
  cross join expected as e
  left join policy as p on p.polrelid = r.oid and p.polname = e.polname
  where p.content is distinct from e.content and (r.is_log or e.polname <> 'writer_policy')
  union all
  select 'policy_extra', 'error', format('%I on %s', p.polname, r.name),
    case when r.is_log then 'This policy shows all readers rows of the log that account_policy '
      'hides. Where some shall see more, name their role in it.'
      else 'This policy is not one of the log: it may show rows that the log hides.' end,
    format('drop policy %I on %s;', p.polname, r.name)
  from policy as p
  join relation as r on r.oid = p.polrelid
  where case when r.is_log then p.oid in (select o.oid from opening as o)
    else p.polname not in (select e.polname from expected as e) end
$$;

revoke all on function audit.check_policies() from public;

comment on function audit.check_policies() is
  'Findings: row security and policies that do not keep the accounts apart.';
