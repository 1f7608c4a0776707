-- The expressions of a declaration are looked over one by one.
create or replace function audit.validate_expressions(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_slot text;
  v_expression text;
  v_event text;
begin
  for v_slot, v_expression, v_event in
    select e.slot, e.expression, null
    from (values ('item_id', t.item_id), ('item_label', t.item_label), ('account', t.account),
      ('parent_id', t.parent_id), ('part_name', t.part_name)) as e (slot, expression)
    where e.expression is not null
    union all
    select 'when', r.rule ->> 'when', e.event
    from jsonb_array_elements(t.actions) as r (rule)
    cross join unnest(array['insert', 'update', 'delete']) as e (event)
    where r.rule ? 'when' and r.rule -> 'on' @> to_jsonb(e.event)
  loop
    perform audit.validate_expression(t, v_slot, v_expression, v_event);
  end loop;
end;
$$;

revoke all on function audit.validate_expressions(audit.tracked) from public;

comment on function audit.validate_expressions(audit.tracked) is
  'Raises an error where an expression of a declaration does not fit its table.';
