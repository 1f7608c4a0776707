-- Declares a table: from here on its essential actions are in the log. Idempotent.
create or replace function audit.track(
  target regclass,
  item_type text default null,
  item_id text default null,
  item_label text default null,
  account text default null,
  accounts text default null,
  parent_type text default null,
  parent_id text default null,
  lookups jsonb default '{}',
  part text default null,
  part_name text default null,
  operational text[] default '{}',
  secret text[] default '{}',
  actions jsonb default null,
  require_actor boolean default false,
  on_truncate text default 'log',
  baseline boolean default false
)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_new audit.tracked;
  v_old audit.tracked;
  v_done text;
  v_other text;
  v_waits constant text := audit.bound_waits();
begin
  perform audit.validate_trackable(track.target);
  begin
    lock table audit.tracked in share row exclusive mode;
  exception
    when lock_not_available then
      perform audit.gave_up(array['audit.tracked'::regclass]);
  end;
  select * into v_old from audit.tracked as k where k.target = track.target;
  v_new := v_old;
  v_new.target := track.target;
  v_new.item_type := coalesce(track.item_type,
    (select c.relname from pg_class as c where c.oid = track.target));
  v_new.item_id := track.item_id;
  v_new.item_label := track.item_label;
  v_new.account := track.account;
  v_new.accounts := track.accounts;
  v_new.parent_type := track.parent_type;
  v_new.parent_id := track.parent_id;
  v_new.lookups := coalesce(track.lookups, '{}');
  v_new.part := track.part;
  v_new.part_name := track.part_name;
  v_new.operational := coalesce(track.operational, '{}');
  v_new.secret := coalesce(track.secret, '{}');
  v_new.actions := coalesce(track.actions, audit.default_actions(v_new.item_type));
  v_new.require_actor := coalesce(track.require_actor, false);
  v_new.on_truncate := coalesce(track.on_truncate, 'log');
  begin
    v_done := audit.apply_declaration(v_old, v_new);
  exception
    when lock_not_available then
      perform audit.gave_up(array[track.target]);
  end;
  perform set_config('lock_timeout', v_waits, true);
  if track.baseline then
    perform audit.baseline(track.target);
  end if;
  -- Where both are said by name, the ids of one table are meant as those of the other.
  select string_agg(audit.name_of(k.target), ', ' order by k.id)
    into v_other
    from audit.tracked as k
    where k.item_type = v_new.item_type and k.target <> track.target
      and k.part is null and v_new.part is null
      and (track.item_type is null or track.item_id is null);
  if v_other is not null and v_done <> 'unchanged' then
    raise notice 'items of % are of the type "%", and so are those of %',
        audit.name_of(track.target), v_new.item_type, v_other
      using hint = 'The same id stands for an item in each of them. Give another item_type, unless they '
        'are the same items; or tell them apart by table_name in audit.events, table= in Python, '
        '--table on the command line.';
  end if;
  return v_done;
end;
$$;

revoke all on function audit.track(regclass, text, text, text, text, text, text, text, jsonb, text,
  text, text[], text[], jsonb, boolean, text, boolean) from public;

comment on function audit.track(regclass, text, text, text, text, text, text, text, jsonb, text,
  text, text[], text[], jsonb, boolean, text, boolean) is
  'Public. Tracks a table, or changes how it is tracked; says whether it started, changed or is '
  'unchanged.';
