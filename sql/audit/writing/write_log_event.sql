-- Rows of the log that are about the log itself: exported, imported.
create or replace function audit.write_log_event(action text, account_id text, details jsonb)
  returns bigint
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_id bigint;
begin
  if octet_length(write_log_event.account_id) > 2600 then
    raise exception 'the account is longer than the 2600 bytes that an index of the log holds'
      using errcode = 'UA005';
  end if;
  insert into audit.log (
    account_id, action, item_type, item_id, item_label,
    actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
    db_role, application, changes, context
  )
  select
    coalesce(write_log_event.account_id, ''), write_log_event.action, 'log', 'audit.log',
    'audit.log', a.actor_type, a.actor_id, a.actor_label,
    a.on_behalf_of_type, a.on_behalf_of_id, a.on_behalf_of_label,
    session_user, current_setting('application_name'),
    (select jsonb_object_agg(d.key, jsonb_build_object('new', d.value))
     from jsonb_each(details) as d),
    a.context
  from audit.actor_now() as a
  returning id into v_id;
  return v_id;
end;
$$;

revoke all on function audit.write_log_event(text, text, jsonb) from public;

comment on function audit.write_log_event(text, text, jsonb) is
  'Writes a row of the log about the log, and returns its id.';
