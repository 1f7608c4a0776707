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
  e.action_label,
  c.key as column_name,
  c.value ->> 'old' as old_value,
  c.value ->> 'new' as new_value,
  coalesce((c.value ->> 'redacted')::boolean, false) as is_redacted
from audit.events as e
cross join lateral jsonb_each(e.changes) as c
-- Equal pairs say which part of the item a row is about; they are no change.
where c.value -> 'old' is distinct from c.value -> 'new'
  or c.value ? 'redacted';

revoke all on audit.changes from public;

comment on view audit.changes is
  'One row for each column that an action changed, with old and new value. The history of a field: '
  'account_id, item_type, item_id and column_name, sorted by occurred_at and id.';
select audit.copy_comments('audit.events', 'audit.changes');
comment on column audit.changes.column_name is
  'The column, or the path of a part''s column such as features/F1/max_consumption.';
comment on column audit.changes.old_value is 'Value before, as text; null where there was none.';
comment on column audit.changes.new_value is 'Value after, as text; null where there is none.';
comment on column audit.changes.is_redacted is 'Whether the values are secret and not in the log.';
