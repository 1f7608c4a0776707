-- What readers read: the log, with the name of the action, and with created and deleted rows as
-- changes too, however they are kept. Columns are only ever added, at the end.
create or replace view audit.events with (security_invoker = true) as
select
  (select a.label from audit.action as a where a.action = l.action) as action_label,
  l.id,
  l.tx,
  l.occurred_at,
  l.account_id,
  l.action,
  l.item_type,
  l.item_id,
  l.item_label,
  l.parent_type,
  l.parent_id,
  l.actor_type,
  l.actor_id,
  l.actor_label,
  l.on_behalf_of_type,
  l.on_behalf_of_id,
  l.on_behalf_of_label,
  l.db_role,
  l.application,
  l.is_cascade,
  case when l.row_values is null then l.changes
    else audit.record_text(l.layout, l.row_values, l.is_deleted)::jsonb end as changes,
  l.context,
  l.era,
  (select y.table_name from audit.layout as y where y.id = l.layout) as table_name,
  l.layout,
  trunc(extract(epoch from l.occurred_at) * 1000000)::text || '-' || l.id || '-' || l.tx as key
from audit.log as l;

revoke all on audit.events from public;

comment on view audit.events is
  'One row for each essential action: what was done, by whom, to what. Given account_id, items and '
  'pages are found by index; sort by occurred_at, id and tx.';
select audit.copy_comments('audit.log', 'audit.events');
comment on column audit.events.action_label is 'Name of the action for people.';
comment on column audit.events.table_name is
  'The table, with its schema, as it was called then; null in rows about no row of a table.';
comment on column audit.events.key is
  'The identity of the row as one text: microseconds since 1970, id and tx. No other row has it.';
