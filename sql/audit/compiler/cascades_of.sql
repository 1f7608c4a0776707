-- The foreign keys by which a row of a table goes with its parent.
create or replace function audit.cascades_of(t audit.tracked)
  returns table (
    number bigint,
    name text,
    target regclass,
    reader text,
    columns text[],
    parent_columns text[],
    types oid[],
    operators text[]
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    f.number, format('%s_parent_%s', t.slug, f.number), f.confrelid,
    audit.reader_of(f.confrelid, f.key_types),
    f.columns, f.parent_columns, f.types, f.operators
  from (
    select
      row_number() over (order by c.conname) as number,
      c.confrelid::regclass as confrelid,
      array_agg(a.attname::text order by k.n) as columns,
      array_agg(b.attname::text order by k.n) as parent_columns,
      array_agg(a.atttypid order by k.n) as types,
      array_agg(a.atttypid) || array_agg(b.atttypid) as key_types,
      array_agg(format('operator(%I.%s)', s.nspname, o.oprname) order by k.n) as operators
    from pg_constraint as c
    cross join lateral unnest(c.conkey, c.confkey, c.conpfeqop)
      with ordinality as k (child, parent, equals, n)
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.child
    join pg_attribute as b on b.attrelid = c.confrelid and b.attnum = k.parent
    join pg_operator as o on o.oid = k.equals
    join pg_namespace as s on s.oid = o.oprnamespace
    where c.conrelid = t.target and c.contype = 'f' and c.confdeltype = 'c'
      -- One that is not enforced deletes nothing.
      and pg_get_constraintdef(c.oid) !~ ' NOT ENFORCED$'
      -- A key to a partitioned table has a copy of itself for each partition.
      and not exists (select from pg_constraint as q
                      where q.oid = c.conparentid and q.conrelid = c.conrelid)
    group by c.oid, c.confrelid, c.conname
  ) as f
$$;

revoke all on function audit.cascades_of(audit.tracked) from public;

comment on function audit.cascades_of(audit.tracked) is
  'The foreign keys of a table that delete its rows with their parents, and who may read those.';
