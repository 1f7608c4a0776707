-- The triggers around an UPDATE that may move rows from one partition to another: before and after
-- the statement, and before each row whose partition may change. Statement triggers fire where the
-- statement is aimed at, and that may be a partition that has partitions itself.
create or replace function audit.compile_moves(
  t audit.tracked, compiled audit.compiled, variables text[], delete_body text, settings text[]
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_setting text := quote_literal('audit.moving_' || t.id);
  v_list text;
  v_change text;
begin
  select
      case when r.has_before_update then ''
        else ' of ' || (select string_agg(quote_ident(c), ', ')
                        from unnest(r.partition_columns) as c) end,
      (select format('record_image_ne(row(%s), row(%s))',
          string_agg('old.' || quote_ident(c), ', '), string_agg('new.' || quote_ident(c), ', '))
       from unnest(r.partition_columns) as c)
    into v_list, v_change
    from audit.table_trait(t.target) as r;
  compiled.functions := compiled.functions || jsonb_build_object(t.slug || '_move',
    audit.compile_function(t, 'move', variables, format(
E'  v_moving := current_setting(%1$s, true);
  if tg_when = ''BEFORE'' then
    insert into audit.move (tracked_id, enclosing) values (%2$s, v_moving) returning id into v_move;
    perform set_config(%1$s, v_move || '':'', true);
    return null;
  end if;
  if v_moving ~ ''^[0-8]?[0-9]{1,18}:'' then
    delete from audit.move as m
      where m.pid = pg_backend_pid() and m.id = split_part(v_moving, '':'', 1)::bigint
        and m.tracked_id = %2$s and m.relation is null
      returning m.id, m.enclosing into v_move, v_enclosing;
  end if;
  if v_move is null then
    raise exception ''the setting %%, which belongs to audit triggers, was changed'', %1$s
      using errcode = ''UA003'', hint = ''Leave settings whose names begin with audit. alone.'';
  end if;
  perform set_config(%1$s, coalesce(v_enclosing, ''''), true);
  for v_row in
    with gone as (
      delete from audit.move as m where m.pid = pg_backend_pid() and m.statement = v_move
      returning m.id, m.row_values
    )
    select g.row_values from gone as g where g.row_values is not null order by g.id
  loop
%3$s  end loop;
', v_setting, t.id, delete_body), true, settings));
  compiled.triggers := compiled.triggers || jsonb_build_object(
    '_audit_move', format('before update%s on %s for each statement execute function audit.%I()',
      v_list, t.target, t.slug || '_move'),
    '_audit_moved', format('after update%s on %s for each statement execute function audit.%I()',
      v_list, t.target, t.slug || '_move'));
  compiled := audit.add_row_trigger(compiled, t, 'moving', 'before update' || v_list,
    array['v_moving text'], audit.read_move(t, 'moving'), settings);
  compiled.triggers := compiled.triggers || jsonb_build_object('_audit_moving', replace(
    compiled.triggers ->> '_audit_moving', ' for each row execute ',
    format(' for each row when (%s) execute ', v_change)));
  return compiled;
end;
$$;

revoke all on function
  audit.compile_moves(audit.tracked, audit.compiled, text[], text, text[]) from public;

comment on function
  audit.compile_moves(audit.tracked, audit.compiled, text[], text, text[]) is
  'Adds the triggers that put together what a row moving between partitions is taken apart into.';
