-- Who undoes must be known; what is undone stands in the context of all that follows. Returns the
-- setting as it was.
create or replace function audit.undo_begin(
  tx bigint, era integer, event text, item_type text, item_id text, at timestamptz,
  on_conflict text
)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_before constant text := current_setting('audit.actor', true);
  v_actor record;
begin
  if on_conflict is null or on_conflict not in ('stop', 'skip', 'force') then
    raise exception 'on_conflict is stop, skip or force, not %', coalesce(on_conflict, 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  select * into v_actor from audit.actor_now();
  if v_actor.actor_type = 'database' then
    raise exception 'an undo needs an actor, and the transaction has none'
      using errcode = 'UA002',
        hint = 'In the same transaction, before it: '
          'select audit.set_actor(''platform_user'', ''42'', ''ana@example.com'').';
  end if;
  perform audit.set_actor(v_actor.actor_type, v_actor.actor_id, v_actor.actor_label,
    (coalesce(v_actor.context, '{}') || jsonb_build_object('undo_of', jsonb_strip_nulls(
      jsonb_build_object('tx', tx,
        'era', coalesce(era, (select min(l.era) from audit.log as l where l.tx = undo_begin.tx)),
        'event', event, 'item_type', item_type, 'item_id', item_id, 'at', at))))::text,
    v_actor.on_behalf_of_type, v_actor.on_behalf_of_id, v_actor.on_behalf_of_label);
  return v_before;
end;
$$;

revoke all on function
  audit.undo_begin(bigint, integer, text, text, text, timestamptz, text) from public;

comment on function audit.undo_begin(bigint, integer, text, text, text, timestamptz, text) is
  'Puts into the context of the actor what is undone from now on; refuses where there is no actor.';
