-- How far below other tables a table is: rows of a lower number are there before rows of a higher
-- one. Foreign keys in a circle end the counting.
create or replace function audit.undo_levels(targets oid[])
  returns table (target oid, number integer)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive link as materialized (
    select distinct c.conrelid as child, c.confrelid as parent
    from pg_constraint as c
    where c.contype = 'f' and c.conrelid <> c.confrelid
      and c.conrelid = any (undo_levels.targets) and c.confrelid = any (undo_levels.targets)
  ), level as (
    select u.target, 0 as number
    from unnest(undo_levels.targets) as u (target)
    union
    select k.child, l.number + 1
    from level as l
    join link as k on k.parent = l.target
    where l.number < cardinality(undo_levels.targets)
  )
  select l.target, max(l.number) from level as l group by 1
$$;

revoke all on function audit.undo_levels(oid[]) from public;

comment on function audit.undo_levels(oid[]) is
  'The order of tables by the foreign keys among them.';
