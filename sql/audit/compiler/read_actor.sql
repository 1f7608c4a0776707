-- The actor of the transaction: one setting, read once; without it, the login role.
create or replace function audit.read_actor()
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select
'  v_actor := string_to_array(current_setting(''audit.actor'', true), chr(31), '''');
  v_actor_type := coalesce(v_actor[1], ''database'');
  v_actor_id := coalesce(v_actor[2], session_user);
  v_actor_label := v_actor[3];
  if v_actor[4] is not null then
    v_context := v_actor[4]::jsonb;
  end if;
'
$$;

revoke all on function audit.read_actor() from public;

comment on function audit.read_actor() is 'Statements that read the actor of the transaction.';
