-- What about a table decides the kind of its triggers.
create or replace function audit.table_trait(target regclass, with_partitions boolean default true)
  returns table (
    is_partitioned boolean,
    has_before_update boolean,
    has_after_insert boolean,
    has_after_delete boolean,
    partition_columns text[]
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    c.relkind = 'p',
    -- tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 64 instead of.
    coalesce(bool_or(g.tgtype & 19 = 19), false),
    coalesce(bool_or(g.tgtype & 71 = 5), false),
    coalesce(bool_or(g.tgtype & 75 = 9), false),
    -- Those of all levels. A key of expressions leaves no primary key.
    coalesce((
      select array_agg(distinct a.attname::text)
      from pg_partition_tree(c.oid) as r
      join pg_partitioned_table as p on p.partrelid = r.relid
      join pg_attribute as a on a.attrelid = p.partrelid and a.attnum = any (p.partattrs::int2[])
      where with_partitions
    ), '{}')
  from pg_class as c
  left join lateral (
    select g.tgtype
    from (
      select c.oid
      union
      select p.relid from pg_partition_tree(c.oid) as p where with_partitions and c.relkind = 'p'
    ) as r (oid)
    join pg_trigger as g on g.tgrelid = r.oid
    where not g.tgisinternal and g.tgname !~ '^_audit_'
  ) as g on true
  where c.oid = table_trait.target
  group by c.oid, c.relkind
$$;

revoke all on function audit.table_trait(regclass, boolean) from public;

comment on function audit.table_trait(regclass, boolean) is
  'Whether a table is partitioned, by which columns, and which triggers of its own it, or it and '
  'its partitions, have.';
