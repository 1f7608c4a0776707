-- What the roles of the log may do, in one place: given by audit.grant_rights(), looked for
-- by audit.check().
create or replace function audit.role_rights()
  returns table (role text, privilege text, object text, is_function boolean)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select r.role, 'select', o.object, false
  from unnest(array['audit_reader', 'audit_exporter']) as r (role)
  cross join unnest(array['audit.log', 'audit.action', 'audit.tracked', 'audit.layout',
    'audit.events', 'audit.changes', 'audit.actions', 'audit.era', 'audit.closed_partition',
    'audit.presence', 'audit.belonging']) as o (object)
  union all
  select r.role, 'execute', o.object, true
  from unnest(array['audit_reader', 'audit_exporter']) as r (role)
  cross join unnest(array['audit.item_log(text, text, text, boolean)', 'audit.tree_log(text, text, text, boolean)',
    'audit.parent_columns()', 'audit.belonging_query(text, text)', 'audit.summarised_partitions()',
    'audit.event(text, text)', 'audit.describe_rule(jsonb)']) as o (object)
  union all
  -- Undoing, with all that it calls: it runs with the rights of whoever undoes.
  select r.role, 'execute', o.object, true
  from unnest(array['audit_reader', 'audit_exporter']) as r (role)
  cross join unnest(array[
      'audit.type_name(oid)', 'audit.undo_array(jsonb, text)',
      'audit.undo_batches(text[], text[], text[])',
      'audit.undo_deferrable()', 'audit.undo_begin(bigint, integer, text, text, text, timestamptz, text)',
      'audit.undo_changes(audit.undo_row[])',
      'audit.undo_checked(bigint, integer, text, text, text, timestamptz, text)',
      'audit.undo_columns(audit.layout, regclass)',
      'audit.undo_dependents(audit.undo_net[], oid, oid, text, text[], text, text)',
      'audit.undo_entries(audit.layout, regclass, audit.undo_row[])',
      'audit.undo_key(audit.tracked)', 'audit.undo_keyed(jsonb, jsonb, text, text, text, text)',
      'audit.undo_lacking(audit.undo_net[])', 'audit.undo_levels(oid[])',
      'audit.undo_nets(audit.undo_change[])',
      'audit.undo_one(text, integer)',
      'audit.undo_orphans(audit.undo_net[], oid, oid, text, text[], text[], text)',
      'audit.undo_present(audit.undo_net[])',
      'audit.undo_records(audit.layout, regclass, audit.undo_row[])',
      'audit.undo_references(audit.undo_net[])',
      'audit.undo_rows(bigint, integer, text, text, text, timestamptz)', 'audit.undo_run(text[], text[], text[])',
      'audit.undo_statements(audit.undo_net[])',
      'audit.undo_steps(bigint, integer, text, text, text, timestamptz)', 'audit.undo_text(jsonb, text)',
      'audit.undo_plan(bigint, integer, text, text, text, timestamptz)',
      'audit.undo(bigint, integer, text, text, text, timestamptz, text)', 'audit.actor_now()',
      'audit.context_of(text)', 'audit.name_of(regclass)', 'audit.quoted(text)',
      'audit.presented(oid, text)', 'audit.presented_type(oid)', 'audit.record_value(oid, text)',
      'audit.json_value(oid, text, boolean)', 'audit.is_kept(oid)', 'audit.is_builtin(oid)',
      'audit.builtin_name(oid)', 'audit.element_of(oid)', 'audit.fold_name(text)',
      'audit.as_compiled(anyelement, anyelement)']) as o (object)
  union all
  -- Which revision the log has; there is none where psql installed it.
  select r.role, 'select', 'audit.alembic_version', false
  from unnest(array['audit_reader', 'audit_exporter', 'audit_maintainer']) as r (role)
  where to_regclass('audit.alembic_version') is not null
  union all
  values
    ('audit_exporter', 'execute', 'audit.record_export(jsonb)', true),
    ('audit_maintainer', 'execute', 'audit.maintain(interval)', true),
    ('audit_maintainer', 'execute', 'audit.check(interval)', true),
    ('audit_maintainer', 'execute', 'audit.partition_list()', true),
    ('audit_maintainer', 'select', 'audit.option', false),
    ('audit_maintainer', 'select', 'audit.closed_partition', false),
    ('audit_writer', 'insert', 'audit.log', false),
    ('audit_writer', 'select', 'audit.move', false),
    ('audit_writer', 'insert', 'audit.move', false),
    ('audit_writer', 'update', 'audit.move', false),
    ('audit_writer', 'delete', 'audit.move', false),
    ('audit_writer', 'execute', 'audit.demand_actor(text)', true),
    ('audit_writer', 'execute', 'audit.refuse_null(text, text)', true),
    ('audit_writer', 'execute', 'audit.moved_identity(text, text[], text[])', true),
    ('audit_writer', 'execute', 'audit.context_of(text)', true),
    ('audit_writer', 'execute', 'audit.told_rows(integer, text[])', true)
  union all
  select r.role, 'execute', o.object, true
  from unnest(array['audit_writer', 'audit_lookup']) as r (role)
  cross join unnest(array['audit.is_current(integer, text, regclass[])', 'audit.utc(timestamptz)',
    'audit.as_compiled(anyelement, anyelement)']) as o (object)
$$;

revoke all on function audit.role_rights() from public;

comment on function audit.role_rights() is
  'The rights that the roles of the log have, one a row.';
