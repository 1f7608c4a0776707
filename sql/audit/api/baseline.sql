-- Tells the log what is there: the rows of a tracked table that it does not know whole, because
-- they are older than its tracking, or than a column of it. A batch is one transaction, whose rows
-- nobody can change until it ends; where it is broken off, the next one goes on. Without a batch
-- the whole table is told in this transaction.
create or replace function audit.baseline(
  target regclass, batch integer default null, out seen bigint, out told bigint,
  out waiting bigint, out is_done boolean
)
  language plpgsql
  -- Whoever was granted this may have rows told as they are, and can write none of his own.
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
  set jit = off
as $$
declare
  t audit.tracked;
  v_run audit.baseline_run;
  v_batch record;
  v_tries integer := 0;
  v_waits constant text := audit.bound_waits();
begin
  if batch < 1 then
    raise exception 'a batch of % rows', batch using errcode = 'invalid_parameter_value';
  end if;
  select * into t from audit.tracked as k where k.target = baseline.target;
  if not found then
    raise exception 'table % is not tracked', baseline.target
      using errcode = 'UA009', hint = 'Declare it with audit.track().';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'no baseline of % in a transaction that is %', baseline.target,
        current_setting('transaction_isolation')
      using errcode = 'active_sql_transaction',
        hint = 'It has to see what others commit: begin isolation level read committed.';
  end if;
  v_run := audit.begin_baseline(t);
  seen := 0;
  told := 0;
  loop
    begin
      select * into v_batch from audit.baseline_batch(t, coalesce(batch, 10000), v_run);
    exception
      -- A row went to another partition while it was to be locked.
      when serialization_failure then
        v_tries := v_tries + 1;
        if v_tries > 100 then
          raise;
        end if;
        continue;
    end;
    v_run := v_batch.run;
    seen := seen + v_batch.seen;
    told := told + v_batch.told;
    waiting := v_batch.waiting;
    is_done := v_run.phase = 'done';
    exit when is_done or batch is not null or (waiting > 0 and v_batch.seen = 0);
  end loop;
  update audit.baseline_run as b
    set phase = v_run.phase, reached = v_run.reached, since = v_run.since, astray = v_run.astray,
      told = v_run.told, done_at = case when baseline.is_done then clock_timestamp() end
    where b.tracked_id = t.id;
  if is_done then
    perform audit.remove_baseline(t);
  elsif batch is null then
    raise notice '% rows of % are held by other transactions', waiting, baseline.target
      using hint = 'Commit, and call it again: it goes on with them.';
  end if;
  perform set_config('lock_timeout', v_waits, true);
end;
$$;

revoke all on function audit.baseline(regclass, integer) from public;

comment on function audit.baseline(regclass, integer) is
  'Public. Tells the log the rows of a tracked table that it does not know; says how many were '
  'seen and told, how many others hold, and whether it is done.';
