-- The actions of a table that declares none.
create or replace function audit.default_actions(item_type text)
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_array(
    jsonb_build_object('action', item_type || '_created', 'on', 'insert'),
    jsonb_build_object('action', item_type || '_updated', 'on', 'update'),
    jsonb_build_object('action', item_type || '_deleted', 'on', 'delete'))
$$;

revoke all on function audit.default_actions(text) from public;

comment on function audit.default_actions(text) is
  'Created, updated and deleted, for a table that declares no actions of its own.';
