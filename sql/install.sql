-- Table of contents: all that the database contains, in an order in which it can be created. Run by
-- psql -f. The data flows the same way: audit.track() (api/) stores a declaration (tracking/), from
-- which functions and triggers are compiled (compiler/), which write the log (writing/) into
-- partitions (partitions/), where those read it who may (rights/).
\set ON_ERROR_STOP on

-- All of it or nothing: nothing of others is found by its name, and a schema that is there already
-- is somebody else's.
begin;
set local search_path = pg_catalog, pg_temp;
create schema audit;

-- What is kept: the log, the declarations, and what goes with them
\ir audit/schema.sql
\ir audit/rights/roles.sql
\ir audit/tables/log.sql
\ir audit/tables/action.sql
\ir audit/tables/era.sql
\ir audit/tables/tracked.sql
\ir audit/tables/layout.sql
\ir audit/tables/move.sql
\ir audit/tables/option.sql
\ir audit/tables/ignored.sql
\ir audit/tables/closed_partition.sql
\ir audit/api/has_own_policies.sql
\ir audit/tables/presence.sql
\ir audit/tables/belonging.sql

-- What is passed from function to function
\ir audit/types/row_sql.sql
\ir audit/types/compiled.sql
\ir audit/types/finding.sql
\ir audit/types/undo_row.sql
\ir audit/types/undo_change.sql
\ir audit/types/undo_net.sql

-- Compiling: from a declaration to the text of functions and triggers
\ir audit/compiler/name_of.sql
\ir audit/compiler/short_name.sql
\ir audit/compiler/fold_name.sql
\ir audit/compiler/tokens_of.sql
\ir audit/compiler/names_in.sql
\ir audit/compiler/rewrite_expression.sql
\ir audit/compiler/utc.sql
\ir audit/compiler/element_of.sql
\ir audit/compiler/is_builtin.sql
\ir audit/compiler/presented_type.sql
\ir audit/compiler/builtin_name.sql
\ir audit/compiler/presented.sql
\ir audit/compiler/difference.sql
\ir audit/compiler/moved_value.sql
\ir audit/compiler/exact_text.sql
\ir audit/compiler/json_value.sql
\ir audit/compiler/text_value.sql
\ir audit/compiler/settings_of.sql
\ir audit/compiler/equality_of.sql
\ir audit/compiler/quoted.sql
\ir audit/compiler/key_of.sql
\ir audit/compiler/columns_of.sql
\ir audit/compiler/row_names.sql
\ir audit/compiler/is_kept.sql
\ir audit/compiler/record_value.sql
\ir audit/compiler/layout_columns.sql
\ir audit/compiler/secret_columns.sql
\ir audit/compiler/secret_numbers.sql
\ir audit/compiler/column_numbers.sql
\ir audit/compiler/layout_of.sql
\ir audit/compiler/reader_settings.sql
\ir audit/compiler/layout_reader.sql
\ir audit/compiler/layout_printer.sql
\ir audit/compiler/layout_branch.sql
\ir audit/compiler/layout_dispatcher.sql
\ir audit/tracking/derive_layouts.sql
\ir audit/tracking/follow_layouts.sql
\ir audit/tracking/add_layout.sql
\ir audit/tracking/settle_layout.sql
\ir audit/api/name_now.sql
\ir audit/api/record_values.sql
\ir audit/api/record_text.sql
\ir audit/api/record_changes.sql
\ir audit/compiler/audited_columns.sql
\ir audit/compiler/table_trait.sql
\ir audit/compiler/is_bound.sql
\ir audit/compiler/condition_names.sql
\ir audit/compiler/foreign_key_of.sql
\ir audit/compiler/looked_up.sql
\ir audit/rights/is_trusted.sql
\ir audit/rights/role_for.sql
\ir audit/compiler/reader_of.sql
\ir audit/compiler/is_filtered.sql
\ir audit/compiler/lookups_of.sql
\ir audit/compiler/cascades_of.sql
\ir audit/compiler/name_types.sql
\ir audit/compiler/over_parameters.sql
\ir audit/compiler/expressions_of.sql
\ir audit/compiler/bound_function.sql
\ir audit/compiler/bind_expression.sql
\ir audit/compiler/bound_functions.sql
\ir audit/compiler/rules_of.sql
\ir audit/compiler/lookup_columns.sql
\ir audit/compiler/lookup_name.sql
\ir audit/compiler/lookup_query.sql
\ir audit/compiler/parent_query.sql
\ir audit/compiler/account_query.sql
\ir audit/compiler/reads_inline.sql
\ir audit/compiler/reader_function.sql
\ir audit/compiler/reader_functions.sql
\ir audit/compiler/departed_reader.sql
\ir audit/compiler/settings_for.sql
\ir audit/compiler/lookup_join.sql
\ir audit/compiler/bind_text.sql
\ir audit/compiler/bind_row.sql
\ir audit/compiler/fingerprint.sql
\ir audit/compiler/compiler_functions.sql
\ir audit/compiler/compiler_digest.sql
\ir audit/compiler/inputs_of.sql
\ir audit/compiler/function_settings.sql
\ir audit/compiler/compile_function.sql
\ir audit/compiler/indent.sql
\ir audit/compiler/actor_variables.sql
\ir audit/compiler/read_actor.sql
\ir audit/compiler/insert_log.sql
\ir audit/compiler/row_changes.sql
\ir audit/compiler/row_record.sql
\ir audit/compiler/part_identity.sql
\ir audit/compiler/part_changes.sql
\ir audit/compiler/cascade_gate.sql
\ir audit/compiler/cascade_test.sql
\ir audit/compiler/group_body.sql
\ir audit/compiler/write_body.sql
\ir audit/compiler/merge_body.sql
\ir audit/compiler/update_insert.sql
\ir audit/compiler/update_body.sql
\ir audit/compiler/follows_ddl.sql
\ir audit/compiler/update_list.sql
\ir audit/compiler/update_variables.sql
\ir audit/compiler/departed_body.sql
\ir audit/compiler/write_function.sql
\ir audit/compiler/departed_function.sql
\ir audit/compiler/add_trigger.sql
\ir audit/compiler/add_row_trigger.sql
\ir audit/compiler/read_move.sql
\ir audit/compiler/compile_moves.sql
\ir audit/compiler/compile_partitioned.sql
\ir audit/compiler/compile_table.sql
\ir audit/compiler/triggered_relations.sql
\ir audit/compiler/carries.sql
\ir audit/compiler/has_trigger.sql
\ir audit/rights/give_function.sql
\ir audit/rights/grant_reading.sql
\ir audit/rights/revoke_reading.sql
\ir audit/compiler/is_function_installed.sql
\ir audit/compiler/is_installed.sql
\ir audit/compiler/install_compiled.sql

-- Writing: who is responsible, what compiled functions ask, the rows that no table's change leaves
\ir audit/api/set_actor.sql
\ir audit/writing/as_compiled.sql
\ir audit/writing/is_current.sql
\ir audit/writing/demand_actor.sql
\ir audit/writing/context_of.sql
\ir audit/writing/actor_now.sql
\ir audit/writing/write_table_event.sql
\ir audit/writing/write_log_event.sql
\ir audit/writing/log_truncate.sql
\ir audit/writing/stand_alone.sql
\ir audit/writing/refuse_change.sql
\ir audit/writing/add_era.sql
\ir audit/writing/open_import.sql
\ir audit/writing/adopt_layouts.sql
\ir audit/api/record_export.sql
\ir audit/api/begin_era.sql
\ir audit/tracking/forget_layouts.sql
\ir audit/writing/validate_undo.sql
\ir audit/api/undo_import.sql

-- Tracking: declarations, and what becomes of them when their tables change
\ir audit/tracking/bound_waits.sql
\ir audit/tracking/holders_of.sql
\ir audit/tracking/gave_up.sql
\ir audit/tracking/validate_trackable.sql
\ir audit/tracking/problem_of_rules.sql
\ir audit/tracking/problem_of_names.sql
\ir audit/tracking/validate_tree.sql
\ir audit/tracking/validate_expression.sql
\ir audit/tracking/validate_expressions.sql
\ir audit/tracking/validate_bound.sql
\ir audit/tracking/settle_readers.sql
\ir audit/tracking/validate_declaration.sql
\ir audit/tracking/columns_now.sql
\ir audit/tracking/follow_names.sql
\ir audit/tracking/follow_rules.sql
\ir audit/tracking/follow_columns.sql
\ir audit/tracking/is_stale.sql
\ir audit/tracking/without_strings.sql
\ir audit/tracking/tables_altered.sql
\ir audit/tracking/statement_of.sql
\ir audit/tracking/touched_with.sql
\ir audit/tracking/refuse_inheritance.sql
\ir audit/tracking/joined_partitions.sql
\ir audit/tracking/leave_partitions.sql
\ir audit/tracking/default_actions.sql
\ir audit/tracking/slug_for.sql
\ir audit/tracking/name_actions.sql
\ir audit/tracking/declaration_of.sql
\ir audit/tracking/renamed_columns.sql
\ir audit/tracking/apply_declaration.sql
\ir audit/tracking/remove_declaration.sql
\ir audit/api/track.sql
\ir audit/api/untrack.sql
\ir audit/api/ignore.sql
\ir audit/api/refresh.sql
\ir audit/api/widen.sql
\ir audit/triggers/before_ddl.sql
\ir audit/triggers/after_ddl.sql
\ir audit/triggers/after_drop.sql
\ir audit/triggers/follow_ddl.sql

-- Partitions: made ahead of time, closed when their time is over, protected like the log itself
\ir audit/rights/policy_ddl.sql
\ir audit/rights/protect.sql
\ir audit/partitions/add_partition.sql
\ir audit/partitions/partition_list.sql
\ir audit/partitions/partition_name.sql
\ir audit/partitions/interval_after.sql
\ir audit/partitions/is_partition_empty.sql
\ir audit/partitions/add_piece.sql
\ir audit/api/add_interval.sql
\ir audit/partitions/fill_log.sql
\ir audit/partitions/spare_to_split.sql
\ir audit/api/maintain.sql
\ir audit/partitions/reopen_partition.sql
\ir audit/tracking/parent_columns.sql
\ir audit/partitions/belonging_query.sql
\ir audit/partitions/summarised_partitions.sql
\ir audit/partitions/close_partition.sql

-- Reading: what people, programs and exports see
\ir audit/api/copy_comments.sql
\ir audit/views/events.sql
\ir audit/views/changes.sql
\ir audit/tracking/describe_rule.sql
\ir audit/views/actions.sql
\ir audit/api/presence_of.sql
\ir audit/api/horizon.sql
\ir audit/api/item_log.sql
\ir audit/api/event.sql
\ir audit/api/tree_log.sql

-- Undoing: from rows of the log to the statements that bring back what was
\ir audit/undo/type_name.sql
\ir audit/undo/undo_array.sql
\ir audit/undo/undo_text.sql
\ir audit/undo/undo_rows.sql
\ir audit/undo/undo_columns.sql
\ir audit/undo/undo_key.sql
\ir audit/undo/undo_keyed.sql
\ir audit/undo/undo_records.sql
\ir audit/undo/undo_entries.sql
\ir audit/undo/undo_changes.sql
\ir audit/undo/undo_nets.sql
\ir audit/undo/undo_present.sql
\ir audit/undo/undo_levels.sql
\ir audit/undo/undo_lacking.sql
\ir audit/undo/undo_orphans.sql
\ir audit/undo/undo_dependents.sql
\ir audit/undo/undo_references.sql
\ir audit/undo/undo_statements.sql
\ir audit/undo/undo_steps.sql
\ir audit/api/undo_plan.sql
\ir audit/undo/undo_begin.sql
\ir audit/undo/undo_checked.sql
\ir audit/undo/undo_one.sql
\ir audit/undo/undo_batches.sql
\ir audit/undo/undo_run.sql
\ir audit/api/undo.sql

-- Checking: what can be wrong with all this
\ir audit/rights/role_rights.sql
\ir audit/check/check_event_triggers.sql
\ir audit/check/check_tables.sql
\ir audit/check/check_functions.sql
\ir audit/check/check_compiled.sql
\ir audit/check/check_layouts.sql
\ir audit/check/check_layout_readers.sql
\ir audit/check/check_triggers.sql
\ir audit/check/check_restored.sql
\ir audit/check/check_untracked.sql
\ir audit/check/check_guard.sql
\ir audit/check/check_rights.sql
\ir audit/check/check_policies.sql
\ir audit/check/check_writers.sql
\ir audit/check/relations_reading.sql
\ir audit/check/check_readers.sql
\ir audit/check/check_partitions.sql
\ir audit/check/check_spares.sql
\ir audit/check/check_rows.sql
\ir audit/check/check_import.sql
\ir audit/check/check_storage.sql
\ir audit/check/check_changes.sql
\ir audit/check/check_eras.sql
\ir audit/check/check_summaries.sql
\ir audit/check/check_counts.sql
\ir audit/check/check_strangers.sql
\ir audit/check/check_sessions.sql
\ir audit/check/check_size.sql
\ir audit/api/check.sql

-- Ready: the first partitions, and who may do what
\ir audit/partitions/first_partitions.sql
\ir audit/api/grant_rights.sql
\ir audit/rights/rights.sql

-- The worked example: schema licensing
\ir licensing/schema.sql
\ir licensing/tables/accounts.sql
\ir licensing/tables/platform_users.sql
\ir licensing/tables/memberships.sql
\ir licensing/tables/user_permission_templates.sql
\ir licensing/tables/user_permission_template_permissions.sql
\ir licensing/tables/notification_policies.sql
\ir licensing/tables/products.sql
\ir licensing/tables/product_features.sql
\ir licensing/tables/product_custom_fields.sql
\ir licensing/tables/customers.sql
\ir licensing/tables/orders.sql
\ir licensing/tables/license_users.sql
\ir licensing/tables/order_managers.sql
\ir licensing/tables/licenses.sql
\ir licensing/tables/license_features.sql
\ir licensing/tables/license_custom_fields.sql
\ir licensing/tables/license_user_assignments.sql
\ir licensing/tables/devices.sql
\ir licensing/actions/accounts.sql
\ir licensing/actions/platform_users.sql
\ir licensing/actions/memberships.sql
\ir licensing/actions/user_permission_templates.sql
\ir licensing/actions/user_permission_template_permissions.sql
\ir licensing/actions/notification_policies.sql
\ir licensing/actions/products.sql
\ir licensing/actions/product_features.sql
\ir licensing/actions/product_custom_fields.sql
\ir licensing/actions/customers.sql
\ir licensing/actions/orders.sql
\ir licensing/actions/license_users.sql
\ir licensing/actions/order_managers.sql
\ir licensing/actions/licenses.sql
\ir licensing/actions/license_features.sql
\ir licensing/actions/license_custom_fields.sql
\ir licensing/actions/license_user_assignments.sql
\ir licensing/actions/devices.sql
\ir licensing/views/license_log.sql
\ir licensing/views/order_log.sql
\ir licensing/views/customer_log.sql
\ir licensing/views/product_log.sql
\ir licensing/rights.sql

commit;
