-- A baseline begins, or goes on where it was broken off: unless the table has columns since that
-- were not told, or transaction ids are another server's.
create or replace function audit.begin_baseline(t audit.tracked)
  returns audit.baseline_run
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_run audit.baseline_run;
  v_era constant integer := (select max(e.number) from audit.era as e);
  v_inputs constant text := t.inputs || (
    select format(' %s', c.relowner::regrole) from pg_class as c where c.oid = t.target);
  v_since constant bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
begin
  begin
    select * into v_run from audit.baseline_run as b where b.tracked_id = t.id for update nowait;
    if not found then
      insert into audit.baseline_run (tracked_id, layout, era, since)
        values (t.id, t.layout, v_era, v_since)
        returning * into v_run;
    end if;
  exception
    when lock_not_available or unique_violation then
      raise exception 'a baseline of % is running', audit.name_of(t.target)
        using errcode = 'object_in_use', hint = 'Let it go on; two would tell the same rows.';
  end;
  if v_run.phase = 'done' or v_run.era <> v_era
    or v_run.layout <> t.layout and v_run.layout <> all (audit.whole_layouts(t))
  then
    delete from audit.baseline_key as k where k.tracked_id = t.id;
    delete from audit.baseline_run as b where b.tracked_id = t.id;
    insert into audit.baseline_run (tracked_id, layout, era, since)
      values (t.id, t.layout, v_era, v_since)
      returning * into v_run;
  end if;
  if not exists (select from audit.action as a where a.action = t.item_type || '_baseline') then
    insert into audit.action (action, label, description)
      values (t.item_type || '_baseline',
        upper(left(t.item_type, 1)) || replace(substr(t.item_type, 2), '_', ' ') || ' baseline',
        'What a row was like that was there before the log could tell of it.')
      on conflict do nothing;
  end if;
  -- To compile takes as long as to tell a thousand rows.
  if v_run.inputs <> v_inputs or t.inputs = ''
    or to_regproc(format('audit.%I', t.slug || '_baseline_write')) is null
  then
    perform audit.install_baseline(t);
    update audit.baseline_run as b set inputs = v_inputs where b.tracked_id = t.id;
  end if;
  return v_run;
end;
$$;

revoke all on function audit.begin_baseline(audit.tracked) from public;

comment on function audit.begin_baseline(audit.tracked) is
  'Begins the baseline of a table or goes on with it; says how far it is.';
