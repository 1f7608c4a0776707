-- The expressions of a declaration, each with where it stands and the type that it gives: the events
-- are those of a rule's condition.
create or replace function audit.expressions_of(t audit.tracked)
  returns table (slot text, expression text, result text, events jsonb)
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select e.slot, e.expression, 'text', null::jsonb
  from (values ('item_id', t.item_id), ('item_label', t.item_label), ('account', t.account),
    ('parent_id', t.parent_id), ('part_name', t.part_name)) as e (slot, expression)
  where e.expression is not null
  union all
  select 'when', r.rule ->> 'when', 'bool', r.rule -> 'on'
  from jsonb_array_elements(t.actions) as r (rule)
  where r.rule ? 'when'
$$;

revoke all on function audit.expressions_of(audit.tracked) from public;

comment on function audit.expressions_of(audit.tracked) is
  'The expressions of a declaration that stand for values of a row, and the conditions of its rules.';
