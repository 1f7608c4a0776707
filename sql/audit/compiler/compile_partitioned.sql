-- Partitioned tables: row triggers, which PostgreSQL clones to every partition, so that a write
-- straight into a partition is seen too. A row that moves comes as a deletion followed by an
-- insertion; between two statement triggers of the UPDATE the pair is put together again.
create or replace function audit.compile_partitioned(
  t audit.tracked, settings text[], compiled audit.compiled
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- Rows on their way are kept as text, whatever their types.
  v_all_settings constant text[] := audit.settings_of(array['record'::regtype::oid]);
  v_setting text := quote_literal('audit.moving_' || t.id);
  v_insert text := coalesce(audit.write_body(t, 'insert', true), '');
  v_forget constant text := E'  perform set_config(''audit.departed'', '''', true);\n';
  v_delete text := coalesce(audit.write_body(t, 'delete', true) || v_forget, '');
  v_moved_off text := coalesce(audit.write_body(t, 'delete', true, 'moved') || v_forget, '');
  v_update text := coalesce(audit.update_body(t), '');
  v_actor text := audit.read_actor();
  v_moving text := audit.read_move(t);
  v_variables text[] := audit.update_variables(t)
    || array['v_moving text', 'v_started boolean', 'v_move bigint', 'v_row text[]',
      'v_departed jsonb := nullif(current_setting(''audit.departed'', true), '''')::jsonb'];
  v_new jsonb := audit.row_names(t, 'new');
  v_old jsonb := audit.row_names(t, 'old');
  v_moved jsonb := audit.row_names(t, 'moved');
  v_columns text[];
  v_stay text;
  v_columns_of_row text;
begin
  select r.partition_columns into v_columns from audit.table_trait(t.target) as r;
  select string_agg(format('%s %s %s', v_moved ->> c.name, audit.equality_of(c.type),
        v_new ->> c.name), ' and ' order by c.number) filter (where c.is_key
          and c.name <> all (v_columns)),
      string_agg(format('(%s)::text', v_old ->> c.name), ', ' order by c.number)
    into v_stay, v_columns_of_row
    from audit.columns_of(t.target) as c;

  compiled := audit.add_row_trigger(compiled, t, 'insert', 'after insert', v_variables,
    v_moving || v_actor || format(
E'  if v_row is not null then
    perform set_config(%1$s, v_move || '':'', true);
    if %2$s then
%3$s      return null;
    end if;
%4$s  end if;
%5$s', v_setting, coalesce(v_stay, 'true'), coalesce(audit.update_body(t, 'moved'), ''),
      v_moved_off, v_insert),
    v_all_settings);
  compiled := audit.add_row_trigger(compiled, t, 'delete', 'after delete', v_variables,
    v_moving || v_actor || format(
E'  if v_moving is not null then
    perform set_config(%1$s, v_move || '':'' || array[%2$s]::text, true);
    if v_row is null then
      return null;
    end if;
%3$s    return null;
  end if;
%4$s', v_setting, v_columns_of_row, v_moved_off, v_delete),
    v_all_settings);
  compiled := audit.add_row_trigger(compiled, t, 'update', 'after update' || audit.update_list(t),
    audit.update_variables(t), nullif(v_update, ''), settings);
  compiled := audit.add_row_trigger(compiled, t, 'cascade', 'after delete',
    array['v_departed jsonb'], audit.departed_body(t, true), settings, 'stable');
  return audit.compile_moves(t, compiled, v_variables, v_setting, v_moving,
    v_actor || v_moved_off, v_all_settings);
end;
$$;

revoke all on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) from public;

comment on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) is
  'The functions and triggers that the declaration of a partitioned table compiles to.';
