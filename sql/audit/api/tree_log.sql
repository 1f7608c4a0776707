-- Everything under an item, whatever became of it: told by the log alone, by the parents of its
-- rows and by the foreign keys that were written into them.
create or replace function audit.tree_log(
  item_type text,
  item_id text,
  account_id text default null
)
  returns setof audit.events
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  -- Compiling a plan over all partitions takes longer than it spares.
  set jit = off
as $$
  with recursive declared as materialized (
    select distinct k.item_type, a.attname::text as column_name, p.item_type as parent_type
    from audit.tracked as k
    join pg_constraint as c
      on c.conrelid = k.target and c.contype = 'f' and cardinality(c.conkey) = 1
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    join audit.tracked as p on p.target = c.confrelid and p.part is null
    where k.part is null
  ), link as materialized (
    select l.item_type, l.item_id, l.parent_type, l.parent_id
    from audit.log as l
    where l.parent_id is not null
      and (tree_log.account_id is null or l.account_id = tree_log.account_id)
    union
    -- An item that went from one parent to another is in the history of both.
    select l.item_type, l.item_id, d.parent_type, v.id
    from audit.events as l
    join declared as d on d.item_type = l.item_type and l.changes ? d.column_name
    cross join lateral (values
      (l.changes -> d.column_name ->> 'old'),
      (l.changes -> d.column_name ->> 'new')) as v (id)
    where v.id is not null
      and (tree_log.account_id is null or l.account_id = tree_log.account_id)
  ), tree as (
    select tree_log.item_type collate "C" as item_type, tree_log.item_id collate "C" as item_id
    union
    select k.item_type, k.item_id
    from tree as t
    join link as k on k.parent_type = t.item_type and k.parent_id = t.item_id
  )
  select e.*
  from tree as t
  join audit.events as e on e.item_type = t.item_type and e.item_id = t.item_id
  where tree_log.account_id is null or e.account_id = tree_log.account_id
  order by e.occurred_at desc, e.id desc
$$;

revoke all on function audit.tree_log(text, text, text) from public;

comment on function audit.tree_log(text, text, text) is
  'Public. The events of an item and of everything that ever belonged to it, newest first.';
