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
  e.db_role,
  e.application,
  e.is_cascade,
  e.context,
  (select a.label from audit.action as a where a.action = e.action) as action_label,
  c.column_name,
  c.old_value,
  c.new_value,
  c.is_redacted,
  (select y.table_name from audit.layout as y where y.id = e.layout) as table_name
from audit.log as e
cross join lateral (
  select u.key, u.value ->> 'old', u.value ->> 'new',
    coalesce((u.value ->> 'redacted')::boolean, false)
  from jsonb_each(e.changes) as u
  -- Equal pairs say which part of the item a row is about; they are no change.
  where e.row_values is null
    and (u.value -> 'old' is distinct from u.value -> 'new' or u.value ? 'redacted')
  union all
  select v.key, case when e.is_deleted then v.value end, case when not e.is_deleted then v.value end,
    false
  from jsonb_each_text(audit.record_values(e.layout, e.row_values)) as v
  where e.row_values is not null
  union all
  select s.name, null, null, true
  from audit.layout as y
  cross join lateral unnest(y.secret) as s (name)
  where e.row_values is not null and y.id = e.layout
) as c (column_name, old_value, new_value, is_redacted);

revoke all on audit.changes from public;

comment on view audit.changes is
  'One row for each column that an action changed, with old and new value. The history of a field: '
  'account_id, item_type, item_id and column_name, sorted by occurred_at and id.';
comment on column audit.changes.id is
  'Number that grows with time; together with occurred_at the order of reading, with tx too the '
  'identity of the row.';
comment on column audit.changes.tx is
  'Top-level transaction id (64 bits): the same for all rows of one transaction.';
comment on column audit.changes.occurred_at is
  'Time of the action (wall clock, not transaction start).';
comment on column audit.changes.account_id is
  'Tenant that the row belongs to; empty without tenants.';
comment on column audit.changes.action is 'What was done, a code listed in audit.actions.';
comment on column audit.changes.item_type is 'Kind of the item that the action was done to.';
comment on column audit.changes.item_id is 'Id of the item, as text.';
comment on column audit.changes.item_label is 'Name of the item at the time of the action.';
comment on column audit.changes.parent_type is
  'Kind of the item on whose page the row is shown too.';
comment on column audit.changes.parent_id is 'Id of the item on whose page the row is shown too.';
comment on column audit.changes.actor_type is
  'Kind of actor as given by audit.set_actor(), or database where none was given.';
comment on column audit.changes.actor_id is
  'Id of the actor, or the login role where no actor was given.';
comment on column audit.changes.actor_label is 'Name of the actor at the time of the action.';
comment on column audit.changes.db_role is 'Login role of the session that wrote.';
comment on column audit.changes.application is 'The application_name of the session that wrote.';
comment on column audit.changes.is_cascade is
  'Whether the row was written because a parent was deleted.';
comment on column audit.changes.context is
  'Request id, address, reason and the like, as given with the actor.';
comment on column audit.changes.action_label is 'Name of the action for people.';
comment on column audit.changes.column_name is
  'The column, or the path of a part''s column such as features/F1/max_consumption.';
comment on column audit.changes.old_value is 'Value before, as text; null where there was none.';
comment on column audit.changes.new_value is 'Value after, as text; null where there is none.';
comment on column audit.changes.table_name is
  'The table, with its schema, as it was called then; null in rows about no row of a table.';
comment on column audit.changes.is_redacted is 'Whether the values are secret and not in the log.';
