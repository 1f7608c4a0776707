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
    select e.slot, e.expression, v.event
    from audit.expressions_of(t) as e
    left join unnest(array['insert', 'update', 'delete']) as v (event)
      on e.events @> to_jsonb(v.event)
    where e.slot <> 'when' or v.event is not null
  loop
    perform audit.validate_expression(t, v_slot, v_expression, v_event);
  end loop;
end;
$$;

revoke all on function audit.validate_expressions(audit.tracked) from public;

comment on function audit.validate_expressions(audit.tracked) is
  'Raises an error where an expression of a declaration does not fit its table.';
