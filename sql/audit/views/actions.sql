-- The catalogue for analysts: what is recorded, and when.
create or replace view audit.actions with (security_invoker = true) as
select
  a.action,
  a.label,
  a.description,
  coalesce(
    d.item_types,
    case when a.action in ('log_exported', 'log_imported') then '{log}' else '{table}' end::text[]
  ) as item_types,
  coalesce(d.recorded_on, '{}') as recorded_on
from audit.action as a
left join lateral (
  select
    array_agg(distinct t.item_type order by t.item_type) as item_types,
    array_agg(format('%s of %s', audit.describe_rule(r.rule), t.target)
      order by t.target::text, r.number) as recorded_on
  from audit.tracked as t
  cross join lateral jsonb_array_elements(t.actions) with ordinality as r (rule, number)
  where r.rule ->> 'action' = a.action
) as d on d.item_types is not null;

revoke all on audit.actions from public;

comment on view audit.actions is 'The catalogue: one row for each action that the log may show.';
comment on column audit.actions.action is 'Code of the action, as it stands in the log.';
comment on column audit.actions.label is 'Name of the action for people.';
comment on column audit.actions.description is 'What the action means, in a sentence.';
comment on column audit.actions.item_types is 'Kinds of items that the action is about.';
comment on column audit.actions.recorded_on is
  'The statements that are recorded so: event, columns, condition and table.';
