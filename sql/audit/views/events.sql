-- What readers read: the log, with the name of the action. Columns are only ever added.
create or replace view audit.events with (security_invoker = true) as
select
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
  l.db_role,
  l.application,
  l.is_cascade,
  case when l.row_values is null then l.changes
    else audit.record_changes(l.layout, l.row_values, l.is_deleted) end as changes,
  l.context,
  (select a.label from audit.action as a where a.action = l.action) as action_label,
  (select y.table_name from audit.layout as y where y.id = l.layout) as table_name
from audit.log as l;

revoke all on audit.events from public;

comment on view audit.events is
  'One row for each essential action: what was done, by whom, to what. Given account_id, items and '
  'pages are found by index; sort by occurred_at and id.';
comment on column audit.events.id is
  'Number that grows with time; together with occurred_at the order of reading, with tx too the '
  'identity of the row.';
comment on column audit.events.tx is
  'Top-level transaction id (64 bits): the same for all rows of one transaction.';
comment on column audit.events.occurred_at is
  'Time of the action (wall clock, not transaction start).';
comment on column audit.events.account_id is
  'Tenant that the row belongs to; empty without tenants.';
comment on column audit.events.action is 'What was done, a code listed in audit.actions.';
comment on column audit.events.item_type is 'Kind of the item that the action was done to.';
comment on column audit.events.item_id is 'Id of the item, as text.';
comment on column audit.events.item_label is 'Name of the item at the time of the action.';
comment on column audit.events.parent_type is
  'Kind of the item on whose page the row is shown too.';
comment on column audit.events.parent_id is 'Id of the item on whose page the row is shown too.';
comment on column audit.events.actor_type is
  'Kind of actor as given by audit.set_actor(), or database where none was given.';
comment on column audit.events.actor_id is
  'Id of the actor, or the login role where no actor was given.';
comment on column audit.events.actor_label is 'Name of the actor at the time of the action.';
comment on column audit.events.db_role is 'Login role of the session that wrote.';
comment on column audit.events.application is 'The application_name of the session that wrote.';
comment on column audit.events.is_cascade is
  'Whether the row was written because a parent was deleted.';
comment on column audit.events.changes is
  'Changed columns as {"column": {"old": ..., "new": ...}}; a secret is {"redacted": true}.';
comment on column audit.events.context is
  'Request id, address, reason and the like, as given with the actor.';
comment on column audit.events.action_label is 'Name of the action for people.';
comment on column audit.events.table_name is
  'The table, with its schema, as it was called then; null in rows about no row of a table.';
