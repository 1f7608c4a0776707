-- What rows of the log tell of what belongs to what: by the parents of rows, and by the foreign keys
-- written into them. An item that went from one parent to another belongs to both.
create or replace function audit.belonging_query(relation text, condition text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(
'select distinct l.account_id, l.item_type, l.item_id, v.parent_type, v.parent_id
from (
  select l.account_id, l.item_type, l.item_id, l.parent_type, l.parent_id, l.layout,
    l.row_values is not null as is_record,
    case when l.row_values is null then l.changes
      else audit.record_values(l.layout, l.row_values) end as shown
  from %s as l
  where (l.parent_id is not null
      or l.item_type = any (%L) and (l.row_values is not null or l.changes ?| %L))
    and (%s)
  offset 0
) as l
left join (select * from audit.parent_columns() offset 0) as k on k.item_type = l.item_type
cross join lateral (
  select l.shown -> coalesce(k.renamed ->> l.layout::text, k.column_name) as value
) as c
cross join lateral unnest(
  array[l.parent_type, k.parent_type, k.parent_type],
  array[
    l.parent_id,
    case when l.is_record then c.value #>> ''{}'' else c.value ->> ''old'' end,
    case when not l.is_record then c.value ->> ''new'' end
  ]) as v (parent_type, parent_id)
where v.parent_id is not null',
    belonging_query.relation,
    coalesce(array_agg(distinct k.item_type), '{}'),
    coalesce(array_agg(distinct n.name), '{}'),
    belonging_query.condition)
  from audit.parent_columns() as k
  cross join lateral (
    select k.column_name
    union all
    select r.value from jsonb_each_text(k.renamed) as r
  ) as n (name)
$$;

revoke all on function audit.belonging_query(text, text) from public;

comment on function audit.belonging_query(text, text) is
  'The query that reads what belongs to what from the log, or from a partition of it.';
