-- The relations that carry triggers for a tracked table: itself and, for TRUNCATE, its partitions.
create or replace function audit.triggered_relations(target regclass)
  returns setof regclass
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select target
  union all
  select p.relid
  from pg_partition_tree(target) as p
  where p.relid <> target
$$;

revoke all on function audit.triggered_relations(regclass) from public;

comment on function audit.triggered_relations(regclass) is
  'A tracked table and its partitions.';
