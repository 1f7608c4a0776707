-- The actor of the transaction, for rows of the log that no compiled function writes. Its rules are
-- those of audit.read_actor().
create or replace function audit.actor_now(
  out actor_type text, out actor_id text, out actor_label text, out context jsonb,
  out on_behalf_of_type text, out on_behalf_of_id text, out on_behalf_of_label text
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_fields text[] := string_to_array(current_setting('audit.actor', true), chr(31), '');
begin
  if v_fields[1] = extract(epoch from current_timestamp)::text
    and v_fields[2] <> 'database' and v_fields[3] is not null
  then
    actor_type := v_fields[2];
    actor_id := v_fields[3];
    actor_label := v_fields[4];
    context := audit.context_of(v_fields[5]);
    if v_fields[6] <> 'database' and v_fields[7] is not null then
      on_behalf_of_type := v_fields[6];
      on_behalf_of_id := v_fields[7];
      on_behalf_of_label := v_fields[8];
    end if;
  else
    actor_type := 'database';
    actor_id := session_user;
  end if;
end;
$$;

revoke all on function audit.actor_now() from public;

comment on function audit.actor_now() is
  'The actor of the transaction: type, id, label, context, and whom they act for; without one the '
  'login role.';
