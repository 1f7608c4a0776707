-- The log field by field: one row for each column that an action changed.
create or replace view audit.changes with (security_invoker = true) as
select
  e.id,
  e.tx,
  e.occurred_at,
  e.account_id,
  e.action,
  e.item_type,
  e.item_id,
  e.item_label,
  e.parent_type,
  e.parent_id,
  e.actor_type,
  e.actor_id,
  e.actor_label,
  e.on_behalf_of_type,
  e.on_behalf_of_id,
  e.on_behalf_of_label,
  e.db_role,
  e.application,
  e.is_cascade,
  e.context,
  (select a.label from audit.action as a where a.action = e.action) as action_label,
  c.column_name,
  c.old_value,
  c.new_value,
  c.is_redacted,
  e.era,
  y.table_name,
  e.layout,
  c.column_then,
  trunc(extract(epoch from e.occurred_at) * 1000000)::text || '-' || e.id || '-' || e.tx as key
from audit.log as e
left join audit.layout as y on y.id = e.layout
cross join lateral (
  -- That a name may be another one now is behind a function of no cost to the planner: names are
  -- compared before values are.
  select case when y.renamed is null then u.key else audit.name_now(y.renamed, u.key) end,
    u.key, u.value ->> 'old', u.value ->> 'new',
    coalesce((u.value ->> 'redacted')::boolean, false)
  from jsonb_each(case when e.row_values is null then e.changes end) as u
  -- Equal pairs say which part of the item a row is about; they are no change.
  where u.value -> 'old' is distinct from u.value -> 'new' or u.value ? 'redacted'
  union all
  -- Names come first, so that a record without a name that is asked for is not read; for whichever
  -- of its names, it is read once. Secrets have no place in it.
  select coalesce(y.renamed ->> n.name, n.name), n.name,
    case when e.is_deleted then r.shown[n.place] end,
    case when not e.is_deleted then r.shown[n.place] end,
    n.place > cardinality(y.names)
  from unnest(y.names || y.secret) with ordinality as n (name, place)
  left join audit.record_values(e.layout, e.row_values) as r (shown) on true
  where e.row_values is not null
) as c (column_name, column_then, old_value, new_value, is_redacted);

revoke all on audit.changes from public;

comment on view audit.changes is
  'One row for each column that an action changed, with old and new value. The history of a field: '
  'account_id, item_type, item_id and column_name, sorted by occurred_at, id and tx.';
select audit.copy_comments('audit.events', 'audit.changes');
comment on column audit.changes.column_name is
  'The column, or the path of a part''s column such as features/F1/max_consumption, by the name that '
  'it has now, or had last.';
comment on column audit.changes.column_then is 'The same as it was called then.';
comment on column audit.changes.old_value is 'Value before, as text; null where there was none.';
comment on column audit.changes.new_value is 'Value after, as text; null where there is none.';
comment on column audit.changes.table_name is
  'The table, with its schema, as it was called then; null in rows about no row of a table.';
comment on column audit.changes.is_redacted is 'Whether the values are secret and not in the log.';
