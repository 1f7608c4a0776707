-- A row deleted by its parent's deletion: inside the cascade the parent is already invisible.
create or replace function audit.cascade_test(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(format(
    '(%s and not exists (select from %I.%I as p where %s))',
    f.given, n.nspname, r.relname, f.matches), E'\n      or ' order by f.conname), 'false')
  from (
    select
      c.confrelid,
      c.conname,
      string_agg(format('old.%I is not null', a.attname), ' and ' order by k.n) as given,
      string_agg(format('p.%I operator(%I.%s) old.%I', b.attname, s.nspname, o.oprname, a.attname),
        ' and ' order by k.n) as matches
    from pg_constraint as c
    cross join lateral unnest(c.conkey, c.confkey, c.conpfeqop)
      with ordinality as k (child, parent, equals, n)
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.child
    join pg_attribute as b on b.attrelid = c.confrelid and b.attnum = k.parent
    join pg_operator as o on o.oid = k.equals
    join pg_namespace as s on s.oid = o.oprnamespace
    where c.conrelid = t.target and c.contype = 'f' and c.confdeltype = 'c'
      -- A key to a partitioned table has a copy of itself for each partition.
      and not exists (select from pg_constraint as q
                      where q.oid = c.conparentid and q.conrelid = c.conrelid)
    group by c.oid, c.confrelid, c.conname
  ) as f
  join pg_class as r on r.oid = f.confrelid
  join pg_namespace as n on n.oid = r.relnamespace
$$;

revoke all on function audit.cascade_test(audit.tracked) from public;

comment on function audit.cascade_test(audit.tracked) is
  'SQL that is true for a row deleted by the deletion of a row it refers to.';
