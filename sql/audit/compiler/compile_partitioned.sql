-- Partitioned tables: row triggers, which PostgreSQL clones to every partition, so that a write
-- straight into a partition is seen too. A row that moves comes as a deletion followed by an
-- insertion; what was noted before the UPDATE of that row puts the pair together again.
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
  v_insert text := coalesce(audit.write_body(t, 'insert', true), '');
  v_forget constant text := E'  perform set_config(''audit.departed'', '''', true);\n';
  v_delete text := coalesce(audit.write_body(t, 'delete', true) || v_forget, '');
  v_moved_off text := coalesce(audit.write_body(t, 'delete', true, 'moved') || v_forget, '');
  v_update text := coalesce(audit.update_body(t), '');
  v_actor text := audit.read_actor();
  v_variables text[] := audit.update_variables(t)
    || array['v_moving text', 'v_move bigint', 'v_row text[]', 'v_enclosing text',
      'v_departed jsonb := nullif(current_setting(''audit.departed'', true), '''')::jsonb'];
begin
  compiled := audit.add_row_trigger(compiled, t, 'insert', 'after insert', v_variables,
    audit.read_move(t, 'insert') || v_actor || format(
E'  if v_row is not null then
%s    return null;
  end if;
%s', coalesce(audit.update_body(t, 'moved'), ''), v_insert),
    v_all_settings);
  compiled := audit.add_row_trigger(compiled, t, 'delete', 'after delete', v_variables,
    audit.read_move(t, 'delete') || v_actor || v_delete, v_all_settings);
  compiled := audit.add_row_trigger(compiled, t, 'update', 'after update' || audit.update_list(t),
    audit.update_variables(t), nullif(v_update, ''), settings);
  compiled := audit.add_row_trigger(compiled, t, 'cascade', 'after delete',
    array['v_departed jsonb'], audit.departed_body(t, true), settings, 'stable');
  return audit.compile_moves(t, compiled, v_variables, v_actor || v_moved_off, v_all_settings);
end;
$$;

revoke all on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) from public;

comment on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) is
  'The functions and triggers that the declaration of a partitioned table compiles to.';
