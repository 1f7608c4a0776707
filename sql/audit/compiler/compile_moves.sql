-- The statement triggers around an UPDATE that may move rows from one partition to another.
create or replace function audit.compile_moves(
  t audit.tracked, compiled audit.compiled, variables text[], setting text,
  read_move text, delete_body text, settings text[]
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_list text;
begin
  select case when r.has_before_update or r.partition_columns = '{}' then ''
      else ' of ' || (select string_agg(quote_ident(c), ', ')
                      from unnest(r.partition_columns) as c) end
    into v_list
    from audit.table_trait(t.target) as r;
  compiled.functions := compiled.functions || jsonb_build_object(t.slug || '_move',
    audit.compile_function(t, 'move', variables, format(
E'  if tg_when = ''BEFORE'' then
    insert into audit.move (tracked_id) values (%2$s) returning id into v_move;
    perform set_config(%1$s, v_move || '':'', true);
    return null;
  end if;
%3$s  if v_moving is null then
    raise exception ''the setting %%, which belongs to audit triggers, was changed'', %1$s
      using errcode = ''UA003'', hint = ''Leave settings whose names begin with audit. alone.'';
  end if;
  delete from audit.move as m where m.id = v_move and m.pid = pg_backend_pid();
  perform set_config(%1$s, '''', true);
  if v_row is not null then
%4$s  end if;
', setting, t.id, read_move, delete_body), true, settings));
  compiled.triggers := compiled.triggers || jsonb_build_object(
    '_audit_move', format('before update%s on %s for each statement execute function audit.%I()',
      v_list, t.target, t.slug || '_move'),
    '_audit_moved', format('after update%s on %s for each statement execute function audit.%I()',
      v_list, t.target, t.slug || '_move'));
  return compiled;
end;
$$;

revoke all on function
  audit.compile_moves(
    audit.tracked, audit.compiled, text[], text, text, text, text[]) from public;

comment on function
  audit.compile_moves(
    audit.tracked, audit.compiled, text[], text, text, text, text[]) is
  'Adds the triggers that put together what a row moving between partitions is taken apart into.';
