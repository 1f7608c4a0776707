-- What the catalogue says of schema audit, one fact a row: kind, object, trait, value. It is asked
-- with settings of its own, and calls nothing but functions of PostgreSQL: what is looked at cannot
-- answer for itself. What 15 to 18 print differently is brought to one form. Roles go by their name,
-- but for the owner of the log,
-- who is called <owner>. Tables are not read, so anybody may ask.
with log as (
  select c.oid
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where n.nspname = 'audit' and c.relname = 'log'
), owner as (
  -- Of most tables: one that was given away stands out.
  select c.relowner as oid
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where n.nspname = 'audit' and c.relkind in ('r', 'p', 'v')
  group by c.relowner
  order by count(*) desc, c.relowner
  limit 1
), role as (
  select r.oid, case when r.oid = (select o.oid from owner as o) then '<owner>'
    else quote_ident(r.rolname) end as name
  from pg_roles as r
  union all
  select 0, 'public'
), schema as (
  select n.oid, n.nspowner, n.nspacl from pg_namespace as n where n.nspname = 'audit'
), partition as (
  select c.oid, format('%I.%I', n.nspname, c.relname) as name
  from pg_inherits as i
  join pg_class as c on c.oid = i.inhrelid
  join pg_namespace as n on n.oid = c.relnamespace
  where i.inhparent = (select l.oid from log as l)
), relation as (
  select c.*, p.oid is not null as is_partition,
    case when p.oid is not null then 'partition' when c.relkind = 'c' then 'type'
      else 'relation' end as kind,
    coalesce(p.name, format('audit.%I', c.relname)) as name
  from pg_class as c
  left join partition as p on p.oid = c.oid
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
    and (p.oid is not null or c.relnamespace = (select s.oid from schema as s))
), routine as (
  -- Which names are keywords, and so are quoted, is another thing in each version.
  select p.*, format('audit.%s(%s)', case when p.proname ~ '^[a-z_][a-z0-9_]*$' then p.proname
      else quote_ident(p.proname) end, pg_get_function_identity_arguments(p.oid)) as name
  from pg_proc as p
  where p.pronamespace = (select s.oid from schema as s)
), trigger as (
  select g.*, r.kind, r.name, r.is_partition,
    replace(regexp_replace(pg_get_triggerdef(g.oid), '^CREATE (CONSTRAINT )?TRIGGER', 'create \1trigger'),
      format(' ON %s ', r.name), ' on <table> ') as definition
  from pg_trigger as g
  join relation as r on r.oid = g.tgrelid
  where not g.tgisinternal
), granted as (
  select 'schema audit' as object, x.grantee, x.privilege_type, x.is_grantable, s.nspowner as owner
  from schema as s
  cross join lateral aclexplode(coalesce(s.nspacl, acldefault('n', s.nspowner))) as x
  union all
  select 'function ' || p.name, x.grantee, x.privilege_type, x.is_grantable, p.proowner
  from routine as p
  cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as x
  union all
  select r.name, x.grantee, x.privilege_type, x.is_grantable, r.relowner
  from relation as r
  cross join lateral aclexplode(coalesce(r.relacl,
    acldefault(case when r.relkind = 'S' then 's'::"char" else 'r' end, r.relowner))) as x
  where r.relkind <> 'c'
  union all
  select format('%s.%I', r.name, a.attname), x.grantee, x.privilege_type, x.is_grantable, r.relowner
  from relation as r
  join pg_attribute as a on a.attrelid = r.oid
  cross join lateral aclexplode(a.attacl) as x
  union all
  select format('type audit.%I', t.typname), x.grantee, x.privilege_type, x.is_grantable, t.typowner
  from pg_type as t
  left join pg_class as c on c.oid = t.typrelid
  cross join lateral aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) as x
  where t.typnamespace = (select s.oid from schema as s)
    and t.typtype <> 'p' and t.typelem = 0 and coalesce(c.relkind, 'c') = 'c'
)
select 'version' as kind, 'server' as object, '' as trait,
  current_setting('server_version_num') as value
union all
select 'version', 'owner', '', quote_ident(r.rolname)
from owner as o join pg_roles as r on r.oid = o.oid
union all
-- Functions
select 'function', p.name, f.trait, f.value
from routine as p
join pg_language as l on l.oid = p.prolang
cross join lateral (values
  ('signature', format('%s(%s) returns %s', case p.prokind when 'f' then 'function'
      when 'p' then 'procedure' when 'a' then 'aggregate' else 'window function' end,
    pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))),
  -- Two are made anew with each layout: audit.check() knows how.
  ('body', case when p.proname not in ('record_values', 'record_text') then md5(concat_ws(E'\n',
    p.prosrc, p.probin, regexp_replace(pg_get_function_sqlbody(p.oid), '\s+', ' ', 'g'))) end),
  ('attributes', concat_ws(' ', 'language', l.lanname,
    case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
    case when p.proisstrict then 'strict' end, case when p.proleakproof then 'leakproof' end,
    case when p.prosecdef then 'security definer' else 'security invoker' end,
    'parallel', case p.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end,
    'cost', p.procost, 'rows', p.prorows, nullif('support ' || p.prosupport::text, 'support -'))),
  ('settings', coalesce(array_to_string(p.proconfig, '; '), ''))) as f (trait, value)
where f.value is not null
union all
select 'owner', 'function ' || p.name, '', r.name
from routine as p join role as r on r.oid = p.proowner
union all
select 'owner', 'schema audit', '', r.name
from schema as s join role as r on r.oid = s.nspowner
union all
select case when c.is_partition then c.kind else 'owner' end,
  case when c.relkind = 'c' then 'type ' else '' end || c.name,
  case when c.is_partition then 'owner' else '' end, r.name
from relation as c join role as r on r.oid = c.relowner
union all
-- Views, without what one version prints and another does not: the tables before the names of
-- columns, and parentheses; nor the names that a restore gives to columns that had none
select 'view', r.name, f.trait, f.value
from relation as r
cross join lateral (values
  ('definition', md5(regexp_replace(pg_get_viewdef(r.oid),
    '\m[a-z]\w*\.|\s+AS\s+(\w+|"[^"]+")|[\s()]+', '', 'g'))),
  ('reads', (
    select md5(string_agg(x.name, ' ' order by x.name collate "C"))
    from (
      select distinct pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) as name
      from pg_rewrite as w
      join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
      where w.ev_class = r.oid and d.refobjid <> r.oid and d.deptype = 'n') as x))) as f (trait, value)
where r.relkind in ('v', 'm')
union all
-- Tables, partitions, views, sequences, types
select r.kind, r.name, f.trait, f.value
from relation as r
cross join lateral (values
  ('kind', case r.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
    when 'm' then 'materialized view' when 'f' then 'foreign table' when 'S' then 'sequence'
    else 'type' end),
  ('persistence', case r.relpersistence when 'p' then 'logged' when 'u' then 'unlogged'
    else 'temporary' end),
  ('method', (select m.amname::text from pg_am as m where m.oid = r.relam and r.relkind = 'r')),
  ('row security', concat_ws(', ', case when r.relrowsecurity then 'enabled' else 'disabled' end,
    case when r.relforcerowsecurity then 'forced' end)),
  ('options', coalesce((select string_agg(o, ', ' order by o collate "C")
    from unnest(r.reloptions) as o), '')),
  ('partitioned by', case when r.relkind = 'p' then pg_get_partkeydef(r.oid) end),
  ('inherits', (select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
    from pg_inherits as i where i.inhrelid = r.oid and not r.is_partition)),
  ('children', (select string_agg(i.inhrelid::regclass::text, ', ' order by i.inhrelid::regclass::text)
    from pg_inherits as i
    where i.inhparent = r.oid and r.oid <> (select l.oid from log as l)))) as f (trait, value)
where f.value is not null
union all
select r.kind, r.name, format('column %I%s', a.attname, f.trait), f.value
from relation as r
join pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation as o on o.oid = a.attcollation
cross join lateral (values
  ('', concat_ws(' ', format_type(a.atttypid, a.atttypmod),
    case when o.collname <> 'default' then format('collate %I', o.collname) end,
    case when a.attnotnull then 'not null' end)),
  (' default', case
    when r.name = 'audit.log' and a.attname = 'era' or r.is_partition and a.attname = 'era' then null
    when a.attidentity <> '' then 'identity ' || a.attidentity::text
    when a.attgenerated <> '' then format('generated %s %s', a.attgenerated,
      pg_get_expr(d.adbin, d.adrelid))
    else pg_get_expr(d.adbin, d.adrelid) end),
  -- Partitions that were attached may have theirs in another order.
  (' place', case when not r.is_partition then (
    select count(*) from pg_attribute as b
    where b.attrelid = r.oid and b.attnum between 1 and a.attnum and not b.attisdropped)::text end),
  (' storage', case when r.relkind in ('r', 'p') and a.attstorage <> (
      select t.typstorage from pg_type as t where t.oid = a.atttypid) then a.attstorage::text end),
  (' statistics', case when coalesce(a.attstattarget, -1) >= 0 then a.attstattarget::text end))
  as f (trait, value)
where f.value is not null and r.relkind <> 'S'
union all
select r.kind, r.name, format('constraint %I', k.conname), concat_ws(' ',
  pg_get_constraintdef(k.oid), case when not k.convalidated then 'not valid' end)
from relation as r
join pg_constraint as k on k.conrelid = r.oid
where k.contype not in ('n', 't')
  -- The catch-alls have it, and what became of them.
  and not (r.is_partition and k.conname = 'finite_check' and k.convalidated
    and pg_get_constraintdef(k.oid) = 'CHECK (isfinite(occurred_at))')
union all
-- Indexes of a partition go by those of the log that they belong to
select r.kind, r.name, format('index %I', coalesce(p.relname, c.relname)), concat_ws(' ',
  case when p.oid is null then replace(pg_get_indexdef(i.indexrelid),
      format(' %I ON %s%s ', c.relname, case when r.relkind = 'p' then 'ONLY ' else '' end, r.name),
      ' <index> ON <table> ')
    else 'attached' end,
  case when not i.indisvalid then 'invalid' end)
from relation as r
join pg_index as i on i.indrelid = r.oid
join pg_class as c on c.oid = i.indexrelid
left join pg_inherits as h on h.inhrelid = i.indexrelid
left join pg_class as p on p.oid = h.inhparent
union all
select g.kind, g.name, format('trigger %I', g.tgname), concat_ws(' ', g.definition,
  case g.tgenabled when 'A' then 'always' when 'D' then 'disabled' when 'R' then 'in replicas' end)
from trigger as g
where not (g.is_partition and g.tgenabled = 'A' and g.definition = 'create trigger reopen_partition '
  'BEFORE INSERT on <table> FOR EACH ROW EXECUTE FUNCTION audit.reopen_partition()')
union all
select r.kind, r.name, format('rule %I', w.rulename), pg_get_ruledef(w.oid)
from relation as r
join pg_rewrite as w on w.ev_class = r.oid
where not (r.relkind in ('v', 'm') and w.rulename = '_RETURN' and w.ev_type = '1')
union all
select r.kind, r.name, format('policy %I', p.polname), concat_ws(' ',
  case when p.polpermissive then 'as permissive' else 'as restrictive' end,
  'for', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
    when 'd' then 'delete' else 'all' end,
  'to', (select string_agg(o.name, ', ' order by o.name collate "C")
    from unnest(p.polroles) as u join role as o on o.oid = u),
  'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
  'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
from relation as r
join pg_policy as p on p.polrelid = r.oid
union all
select 'relation', r.name, 'sequence', format(
  'increment by %s minvalue %s maxvalue %s start with %s cache %s%s owned by %s', s.seqincrement,
  s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then ' cycle' else '' end,
  coalesce((select pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) from pg_depend as d
   where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype in ('a', 'i')), 'none'))
from relation as r
join pg_sequence as s on s.seqrelid = r.oid
union all
select 'type', format('audit.%I', t.typname), 'kind', case t.typtype when 'd' then 'domain'
  when 'e' then 'enum' when 'r' then 'range' else 'base' end
from pg_type as t
where t.typnamespace = (select s.oid from schema as s) and t.typtype not in ('c', 'm')
  and t.typelem = 0
union all
select 'event trigger', e.evtname, f.trait, f.value
from pg_event_trigger as e
cross join lateral (values
  ('definition', format('on %s%s execute %s', e.evtevent,
    coalesce((select format(' when tag in (%s)', string_agg(t, ', ' order by t collate "C"))
      from unnest(e.evttags) as t), ''), e.evtfoid::regprocedure)),
  ('state', case e.evtenabled when 'A' then 'always' else 'not always' end)) as f (trait, value)
where e.evtname in ('audit_before_ddl', 'audit_after_ddl')
  or e.evtfoid in (select p.oid from routine as p)
union all
-- Rights
select 'grant', g.object, r.name, string_agg(lower(g.privilege_type)
    || case when g.is_grantable then ' with grant option' else '' end, ', '
  order by g.privilege_type)
from granted as g
join role as r on r.oid = g.grantee
where g.grantee <> g.owner and r.name <> '<owner>'
group by 1, 2, 3
union all
select 'default rights', case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
    when 'f' then 'functions' when 'T' then 'types' else 'schemas' end,
  format('%s of %s', coalesce(r.name, x.grantee::text), o.name),
  string_agg(lower(x.privilege_type), ', ' order by x.privilege_type)
from pg_default_acl as d
join role as o on o.oid = d.defaclrole
cross join lateral aclexplode(d.defaclacl) as x
left join role as r on r.oid = x.grantee
where d.defaclnamespace = (select s.oid from schema as s) and x.grantee <> d.defaclrole
group by 1, 2, 3
union all
select 'role', r.rolname, 'powers', concat_ws(', ',
  case when r.rolsuper then 'superuser' end, case when r.rolcreaterole then 'createrole' end,
  case when r.rolreplication then 'replication' end, case when r.rolbypassrls then 'bypassrls' end,
  case when r.rolcanlogin and r.rolname in ('audit_writer', 'audit_lookup') then 'login' end,
  (select string_agg('member of ' || quote_ident(o.rolname), ', ' order by o.rolname)
   from pg_auth_members as m join pg_roles as o on o.oid = m.roleid where m.member = r.oid))
from pg_roles as r
where r.rolname in ('audit_reader', 'audit_exporter', 'audit_maintainer', 'audit_writer', 'audit_lookup')
union all
-- What functions of the log would call in place of PostgreSQL's own
select 'shadow', format('function pg_catalog.%I(%s)', p.proname,
  pg_get_function_identity_arguments(p.oid)), '', 'a function of PostgreSQL has this name'
from pg_proc as p
where p.oid >= 16384 and p.pronamespace = 'pg_catalog'::regnamespace
  and exists (select from pg_proc as b where b.oid < 16384 and b.proname = p.proname
    and b.pronamespace = p.pronamespace)
  and not exists (select from pg_depend as d
    where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
union all
select 'shadow', format('operator pg_catalog.%s(%s, %s)', p.oprname, p.oprleft::regtype,
  p.oprright::regtype), '', 'an operator of PostgreSQL has this name'
from pg_operator as p
where p.oid >= 16384 and p.oprnamespace = 'pg_catalog'::regnamespace
  and exists (select from pg_operator as b where b.oid < 16384 and b.oprname = p.oprname
    and b.oprnamespace = p.oprnamespace)
  and not exists (select from pg_depend as d
    where d.classid = 'pg_operator'::regclass and d.objid = p.oid and d.deptype = 'e')
union all
select 'setting', concat_ws(' in ', 'role ' || quote_ident(r.rolname),
  'database ' || quote_ident(d.datname)), 'event_triggers', 'off'
from pg_db_role_setting as s
left join pg_roles as r on r.oid = s.setrole
left join pg_database as d on d.oid = s.setdatabase
where (s.setdatabase = 0 or d.datname = current_database())
  and exists (select from unnest(s.setconfig) as c
    where c ~* '^event_triggers=(off|false|no|0|f|n)$')
