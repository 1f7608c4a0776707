-- One batch of a baseline. Rows are locked, then read, then told: what others committed before is
-- in the log before, what they do next comes after. Nobody is waited for: a row that somebody
-- holds is looked at again later. So is, at the end, what was written meanwhile, for a row whose
-- key changed may have gone past: all such rows are found at once, and where one has got another
-- key until it is looked at, they are found once more.
create or replace function audit.baseline_batch(
  t audit.tracked, size integer, inout run audit.baseline_run, out seen bigint, out told bigint,
  out waiting bigint
)
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_lock constant text := format('select * from audit.%I($1, $2, $3, $4)',
    t.slug || '_baseline_lock');
  v_now constant bigint := pg_current_xact_id()::text::bigint;
  v_keys text[];
  v_age integer;
  v_up_to text;
  v_locked text[];
  v_missed text[];
  v_changed bigint;
  v_path text;
begin
  seen := 0;
  told := 0;
  waiting := 0;
  if run.phase <> 'rows' then
    with looked_at as (
      delete from audit.baseline_key as k
      where k.tracked_id = t.id and k.key = any (array(
        select f.key from audit.baseline_key as f
        where f.tracked_id = t.id order by f.key limit size))
      returning k.key
    )
    select coalesce(array_agg(l.key), '{}') into v_keys from looked_at as l;
    if v_keys = '{}' then
      run.phase := 'last';
      run.astray := 0;
      v_age := least(v_now - run.since, 2147483646);
      run.since := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
      execute v_lock into v_up_to, v_locked, v_missed, v_changed
        using null::text, size, null::text[], v_age;
      perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
      v_keys := v_missed[1 : size];
      insert into audit.baseline_key (tracked_id, key)
        select t.id, m from unnest(v_missed[size + 1 : cardinality(v_missed)]) as m;
    end if;
    v_age := least(v_now - run.since, 2147483646);
  end if;
  execute v_lock into v_up_to, v_locked, v_missed, v_changed using run.reached, size, v_keys, v_age;
  -- The owner of the table may have left a search path behind, here or for the session.
  v_path := pg_catalog.current_setting('search_path');
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  if v_path <> 'pg_catalog, pg_temp' then
    raise exception 'no baseline of %: code of its owner sets search_path', audit.name_of(t.target)
      using errcode = 'UA005', detail = format('It is %s after reading the table.', v_path);
  end if;
  if v_locked <> '{}' then
    execute format('select audit.%I($1, $2, $3)', t.slug || '_baseline_write')
      into told
      using run.reached, v_up_to, v_locked;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  end if;
  insert into audit.baseline_key (tracked_id, key)
    select t.id, m from unnest(v_missed) as m
    on conflict do nothing;
  seen := cardinality(v_locked);
  run.told := run.told + told;
  if run.phase = 'rows' then
    run.phase := case when v_up_to is null then 'rest' else 'rows' end;
    run.reached := coalesce(v_up_to, run.reached);
    return;
  end if;
  waiting := cardinality(v_missed);
  run.astray := run.astray + cardinality(v_keys) - seen - waiting
    + case when told > 0 then v_changed else 0 end;
  if run.phase = 'last' and run.astray = 0
    and not exists (select from audit.baseline_key as k where k.tracked_id = t.id)
  then
    run.phase := 'done';
  end if;
end;
$$;

revoke all on function audit.baseline_batch(audit.tracked, integer, audit.baseline_run) from public;

comment on function audit.baseline_batch(audit.tracked, integer, audit.baseline_run) is
  'Tells one batch of the rows of a table, and says how far the baseline is then.';
