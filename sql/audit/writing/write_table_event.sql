-- Rows of the log that are about a table as a whole: truncated, tracked, changed, untracked.
create or replace function audit.write_table_event(
  action text, name text, changes jsonb, part_of text default null
)
  returns void
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  insert into audit.log (
    action, item_type, item_id, item_label, parent_type, parent_id,
    actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
    db_role, application, changes, context
  )
  select
    write_table_event.action, 'table', write_table_event.name, write_table_event.name,
    case when part_of is not null then 'table' end, part_of,
    a.actor_type, a.actor_id, a.actor_label,
    a.on_behalf_of_type, a.on_behalf_of_id, a.on_behalf_of_label,
    session_user, current_setting('application_name'), write_table_event.changes, a.context
  from audit.actor_now() as a;
end;
$$;

revoke all on function audit.write_table_event(text, text, jsonb, text) from public;

comment on function audit.write_table_event(text, text, jsonb, text) is
  'Writes a row of the log about a table.';
