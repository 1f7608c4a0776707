-- The partitions of which audit.belonging tells all. A foreign key that came later is not in it
-- where the partition has rows of such items; nor may be what came in without the trigger that a
-- restore of data alone has not made.
create or replace function audit.summarised_partitions()
  returns table (partition text, lower_bound timestamptz, upper_bound timestamptz)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with parent as materialized (
    select k.item_type, k::text as described from audit.parent_columns() as k
  ), known as (
    select c.parent_columns,
      array(select p.item_type collate "C" from parent as p
            where p.described <> all (c.parent_columns)) as lacking
    from (select distinct c.parent_columns from audit.closed_partition as c) as c
  )
  select c.partition, c.lower_bound, c.upper_bound
  from audit.closed_partition as c
  join known as k on k.parent_columns = c.parent_columns
  join pg_class as r on r.relname = c.partition
  join pg_inherits as i on i.inhrelid = r.oid and i.inhparent = 'audit.log'::regclass
  where not c.item_types && k.lacking
    and exists (select from pg_trigger as t
                where t.tgrelid = r.oid and t.tgname = 'reopen_partition' and t.tgenabled = 'A')
$$;

revoke all on function audit.summarised_partitions() from public;

comment on function audit.summarised_partitions() is
  'The closed partitions of which audit.belonging has all that the foreign keys of now tell.';
