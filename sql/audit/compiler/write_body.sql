-- Bodies for rows that came (new) or went (old): one row of the log each, or one for each item.
create or replace function audit.write_body(
  t audit.tracked, event text, is_row_level boolean, old_side text default 'old'
)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_side text := case event when 'insert' then 'new' else old_side end;
  v_row audit.row_sql := audit.bind_row(t, v_side, event = 'delete');
  v_source text := case when is_row_level then '' else format('%1$s_rows as %1$s', v_side) end;
  v_changes text := audit.row_changes(t, v_side);
  v_cascade text := case event when 'delete' then audit.cascade_test(t, old_side) else 'false' end;
  v_gate text := case event when 'delete' then audit.cascade_gate(t) end;
  v_is_grouped boolean;
  v_record text;
  v_action text;
  v_condition text;
  v_body text;
begin
  select
      case when count(*) = 1 then min(quote_literal(r.action))
        else 'case ' || string_agg(format('when %s then %L', coalesce(r.condition, 'true'),
          r.action), ' ' order by r.number) || ' end' end,
      case when bool_and(r.condition is not null) then
        string_agg('(' || r.condition || ')', ' or ' order by r.number) else '' end
    into v_action, v_condition
    from audit.rules_of(t, event, old_side) as r;
  if v_action is null then
    return null;
  end if;
  v_is_grouped := not is_row_level
    and (select bool_or(r.is_grouped) from audit.rules_of(t, event) as r);
  if not v_is_grouped then
    v_record := case when t.part is null then audit.row_record(t, v_side) end;
    v_changes := case when v_record is null then audit.part_changes(t, v_row, v_changes)
      else 'null' end;
  end if;
  select string_agg(case when v_is_grouped then
        audit.group_body(t, v_row, v_action, v_changes, c.test, v_source, v_condition,
          event = 'delete')
      else
        audit.insert_log(t, v_row, v_action, v_changes, c.test, v_source, v_condition, v_record,
          event = 'delete')
      end, E'  else\n' order by c.n)
    into v_body
    from unnest(case when v_gate is null then array[v_cascade] else array[v_cascade, 'false'] end)
      with ordinality as c (test, n);
  return case when v_gate is null then v_body
    else format(E'  if %s\n  then\n%s  end if;\n', v_gate, v_body) end;
end;
$$;

revoke all on function audit.write_body(audit.tracked, text, boolean, text) from public;

comment on function audit.write_body(audit.tracked, text, boolean, text) is
  'Body of the compiled function for INSERT or DELETE; null where the event has no action.';
