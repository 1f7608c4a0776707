-- What readers read: the log, with the name of the action. Columns are only ever added, at the end:
-- that is where the log gets its new ones.
create or replace view audit.events with (security_invoker = true) as
select
  (select a.label from audit.action as a where a.action = l.action) as action_label,
  l.*
from audit.log as l;

revoke all on audit.events from public;

comment on view audit.events is
  'One row for each essential action: what was done, by whom, to what. Given account_id, items and '
  'pages are found by index; sort by occurred_at and id.';
select audit.copy_comments('audit.log', 'audit.events');
comment on column audit.events.action_label is 'Name of the action for people.';
