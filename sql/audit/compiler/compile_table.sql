-- A declaration becomes functions and triggers: this says which, and with what text.
create or replace function audit.compile_table(t audit.tracked)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_trait record;
  v_settings text[] := audit.settings_for(t, false);
  v_row_settings text[] := audit.settings_for(t, true);
  v_insert_by_row boolean;
  v_delete_by_row boolean;
  v_result audit.compiled;
begin
  v_result.name := audit.name_of(t.target);
  v_result.fingerprint := audit.fingerprint(t);
  v_result.functions := '{}';
  v_result.triggers := jsonb_build_object('_audit_truncate', format(
    'after truncate on %s for each statement execute function audit.log_truncate(%L, %L)',
    t.target, t.on_truncate, v_result.name));
  select * into strict v_trait from audit.table_trait(t.target);
  if v_trait.is_partitioned then
    return audit.compile_partitioned(t, v_settings, v_result);
  end if;
  -- A trigger of the application that runs row by row would be logged before its cause.
  v_insert_by_row := v_trait.has_after_insert;
  v_delete_by_row := v_trait.has_after_delete;

  v_result := audit.add_trigger(v_result, t, 'insert', 'after insert',
    case when not v_insert_by_row then 'new table as new_rows' end,
    audit.write_function(t, 'insert', v_insert_by_row, v_row_settings));
  if (select bool_or(r.is_grouped) from audit.rule_of(t, 'update') as r) then
    v_result := audit.add_trigger(v_result, t, 'update', 'after update',
      'old table as old_rows new table as new_rows',
      audit.compile_function(t, 'update',
        audit.actor_variables(),
        audit.read_actor() || audit.merge_body(t), true, v_row_settings));
  elsif exists (select from audit.rule_of(t, 'update')) then
    v_result := audit.add_trigger(v_result, t, 'update', 'after update' || audit.update_list(t), null,
      audit.compile_function(t, 'update', audit.update_variables(t), audit.update_body(t),
        t.lookups <> '{}', v_settings));
  end if;
  v_result := audit.add_trigger(v_result, t, 'cascade', 'after delete',
    case when not v_delete_by_row then 'old table as old_rows' end,
    audit.departed_function(t, v_delete_by_row, v_settings));
  v_result := audit.add_trigger(v_result, t, 'delete', 'after delete',
    case when not v_delete_by_row then 'old table as old_rows' end,
    audit.write_function(t, 'delete', v_delete_by_row, v_row_settings));
  return v_result;
end;
$$;

revoke all on function audit.compile_table(audit.tracked) from public;

comment on function audit.compile_table(audit.tracked) is
  'The functions and triggers, by name, that a declaration compiles to.';
