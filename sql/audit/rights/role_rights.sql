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
