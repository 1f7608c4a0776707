-- The catalogue for analysts: what is recorded, and when; and what was, as far as it has a name.
create or replace view audit.actions with (security_invoker = true) as
select
  a.action,
  a.label,
  a.description,
  coalesce(d.item_types, e.item_types, '{}') as item_types,
  coalesce(d.recorded_on, '{}') as recorded_on,
  d.item_types is not null or e.item_types is not null as is_recorded
from audit.action as a
left join lateral (
  select
    array_agg(distinct t.item_type order by t.item_type) as item_types,
    array_agg(format('%s of %s', audit.describe_rule(r.rule), t.target)
      order by t.target::text, r.number) as recorded_on
  from audit.tracked as t
  cross join lateral jsonb_array_elements(t.actions) with ordinality as r (rule, number)
  where r.rule ->> 'action' = a.action
) as d on d.item_types is not null
-- What the engine itself records needs no declaration.
left join (
  values
    ('log_exported', '{log}'::text[]),
    ('log_imported', '{log}'),
    ('log_import_undone', '{log}'),
    ('table_truncated', '{table}'),
    ('tracking_started', '{table}'),
    ('tracking_changed', '{table}'),
    ('tracking_stopped', '{table}')
  union all
  select distinct k.item_type || '_baseline', array[k.item_type] from audit.tracked as k
) as e (action, item_types) on e.action = a.action;

revoke all on audit.actions from public;

comment on view audit.actions is
  'The catalogue: one row for each action that is recorded, or was and has a name.';
comment on column audit.actions.action is 'Code of the action, as it stands in the log.';
comment on column audit.actions.label is 'Name of the action for people.';
comment on column audit.actions.description is 'What the action means, in a sentence.';
comment on column audit.actions.item_types is
  'Kinds of items that the action is about; empty where no table declares it any more.';
comment on column audit.actions.recorded_on is
  'The statements that are recorded so: event, columns, condition and table.';
comment on column audit.actions.is_recorded is
  'Whether it can still happen; false where no table declares it any more.';
