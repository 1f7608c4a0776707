-- The functions whose text decides what a declaration compiles to, by their names: those of this
-- schema but for trigger functions and for what is compiled. They are listed so that they are found
-- without looking at what was compiled, however much of it there is.
create or replace function audit.compiler_functions()
  returns name[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select '{
  account_query, actor_now, actor_variables, add_era, add_interval, add_layout, add_partition,
  add_piece, add_row_trigger, add_trigger, adopt_layouts, after_ddl, after_drop, after_subscription,
  apply_declaration, as_compiled, audited_columns, baseline, baseline_batch, baseline_key_columns,
  baseline_reader, baseline_writer, before_ddl, begin_baseline, begin_era, belonging_query,
  bind_expression, bind_row, bind_text, bound_function, bound_functions, bound_waits,
  builtin_name, carries, cascade_gate, cascade_test, cascades_of, check, check_changes,
  check_compiled, check_counts, check_eras, check_event_triggers, check_functions, check_guard,
  check_import, check_layout_readers, check_layouts, check_partitions, check_policies,
  check_readers, check_replication, check_restored, check_rights, check_rows, check_sessions,
  check_size, check_spares, check_storage, check_strangers, check_summaries, check_tables,
  check_triggers, check_untracked, check_writers, close_partition, column_numbers, columns_now,
  columns_of, compile_function, compile_moves, compile_partitioned, compile_table,
  compiler_digest, compiler_functions, condition_names, context_of, copy_comments, declaration_of,
  default_actions, demand_actor, departed_body, departed_function, departed_reader,
  derive_layouts, describe_rule, difference, element_of, equality_of, event, exact_text,
  expressions_of, fill_log, fingerprint, fold_name, follow_columns, follow_ddl, follow_layouts,
  follow_names, follow_rules, follow_table, follows_ddl, foreign_key_of, forget_layouts,
  function_settings, gave_up, give_function, grant_reading, grant_rights, group_body, guard_of,
  hand_over, has_own_policies, has_trigger, holders_of, horizon, identity_columns, ignore, indent,
  inputs_of, insert_log, install_baseline, install_compiled, interval_after, is_bound, is_builtin,
  is_current, is_filtered, is_function_installed, is_installed, is_kept, is_partition_empty,
  is_stale, is_trusted, item_log, joined_partitions, json_value, key_of, layout_branch,
  layout_columns, layout_dispatcher, layout_of, layout_printer, layout_reader, leave_partitions,
  looked_up, lookup_columns, lookup_join, lookup_name, lookup_query, lookups_of, maintain,
  merge_body, move_query, moved_body, moved_identity, moved_insert, moved_value, name_actions,
  name_now, name_of, name_types, names_in, open_import, over_parameters, parent_columns,
  parent_query, part_changes, part_identity, partition_list, partition_name, policy_ddl,
  presence_of, presented, presented_type, problem_of_names, problem_of_rules, protect, quoted,
  read_actor, read_move, reader_function, reader_functions, reader_of, reader_settings,
  reads_inline, record_changes, record_export, record_value, refresh, refuse_inheritance,
  refuse_null, relations_reading, remove_baseline, remove_declaration, renamed_columns,
  revoke_reading, rewrite_expression, role_for, role_rights, row_changes, row_names, row_record,
  rules_of, secret_columns, secret_numbers, set_actor, settings_for, settings_of, settle_layout,
  settle_readers, short_name, slug_for, spare_to_split, statement_of, summarised_partitions,
  table_trait, tables_altered, text_value, tokens_of, told_rows, touched_with, track, tree_log,
  triggered_relations, type_name, undo, undo_array, undo_batches, undo_begin, undo_changes,
  undo_checked, undo_columns, undo_deferrable, undo_dependents, undo_entries, undo_import,
  undo_key, undo_keyed, undo_lacking, undo_levels, undo_nets, undo_one, undo_orphans, undo_plan,
  undo_present, undo_records, undo_references, undo_rows, undo_run, undo_statements, undo_steps,
  undo_text, untrack, update_body, update_insert, update_list, update_variables, utc,
  validate_bound, validate_declaration, validate_expression, validate_expressions,
  validate_trackable, validate_tree, validate_undo, whole_layouts, widen, without_strings,
  write_body, write_function, write_log_event, write_table_event
  }'::name[]
$$;

revoke all on function audit.compiler_functions() from public;

comment on function audit.compiler_functions() is 'Names of the functions that compile.';
