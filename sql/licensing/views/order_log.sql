-- The page of an order: what was done to it and to its managers.
create or replace view licensing.order_log with (security_invoker = true) as
select
  e.item_id as order_id,
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
  e.changes,
  e.context,
  e.action_label
from audit.events as e
where e.item_type = 'order'
union all
select
  e.parent_id as order_id,
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
  e.changes,
  e.context,
  e.action_label
from audit.events as e
where e.parent_type = 'order';

comment on view licensing.order_log is
  'One row for each event of an order and of the items that belong to it.';
comment on column licensing.order_log.order_id is 'Id of the order, as text.';
comment on column licensing.order_log.id is
  'Number from one sequence; together with occurred_at the order of reading.';
comment on column licensing.order_log.tx is
  'Top-level transaction id (64 bits): the same for all rows of one transaction.';
comment on column licensing.order_log.occurred_at is
  'Time of the action (wall clock, not transaction start).';
comment on column licensing.order_log.account_id is
  'Tenant that the row belongs to; empty without tenants.';
comment on column licensing.order_log.action is 'What was done, a code listed in audit.actions.';
comment on column licensing.order_log.item_type is 'Kind of the item that the action was done to.';
comment on column licensing.order_log.item_id is 'Id of the item, as text.';
comment on column licensing.order_log.item_label is 'Name of the item at the time of the action.';
comment on column licensing.order_log.parent_type is
  'Kind of the item on whose page the row is shown too.';
comment on column licensing.order_log.parent_id is
  'Id of the item on whose page the row is shown too.';
comment on column licensing.order_log.actor_type is
  'Kind of actor as given by audit.set_actor(), or database where none was given.';
comment on column licensing.order_log.actor_id is
  'Id of the actor, or the login role where no actor was given.';
comment on column licensing.order_log.actor_label is 'Name of the actor at the time of the action.';
comment on column licensing.order_log.db_role is 'Login role of the session that wrote.';
comment on column licensing.order_log.application is
  'The application_name of the session that wrote.';
comment on column licensing.order_log.is_cascade is
  'Whether the row was written because a parent was deleted.';
comment on column licensing.order_log.changes is
  'Changed columns as {"column": {"old": ..., "new": ...}}; a secret is {"redacted": true}.';
comment on column licensing.order_log.context is
  'Request id, address, reason and the like, as given with the actor.';
comment on column licensing.order_log.action_label is 'Name of the action for people.';
