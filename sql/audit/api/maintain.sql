-- Keeps partitions of the log ahead of time, one step a call. Only a step that takes an empty
-- partition out of the way locks the log: for milliseconds, and it gives up at once where it would
-- have to wait, since writers and readers would queue behind it.
create or replace function audit.maintain(ahead interval default '24 months')
  returns integer
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
  set timezone = 'UTC'
  set lock_timeout = '20ms'
as $$
declare
  v_every text := (select o.value from audit.option as o where o.name = 'partition_interval');
  v_now timestamptz := date_trunc(v_every, now());
  v_until timestamptz := audit.interval_after(now() + ahead);
  -- Spares reach so far that log_future stays empty though maintenance be forgotten for years.
  v_spares_until timestamptz := date_trunc('year', greatest(now(), v_until - interval '3 years'))
    + interval '6 years';
  v_gap record;
  v_added integer;
  v_spare text;
begin
  -- One at a time: a table of the log's own, which nobody but its owner can lock.
  lock table audit.option in share row exclusive mode;
  if not exists (select from audit.partition_list()) then
    perform audit.add_piece('-infinity', v_now);
    perform audit.add_piece(v_spares_until, 'infinity');
  elsif to_regclass('audit.log_future') is null
    and not exists (select from audit.partition_list() as l where l.upper_bound = 'infinity')
  then
    perform audit.add_piece(
      greatest(v_spares_until, (select max(l.upper_bound) from audit.partition_list() as l)),
      'infinity');
    return 1;
  end if;

  for v_gap in
    select p.upper_bound as lower_bound, p.next as upper_bound
    from (select l.upper_bound, lead(l.lower_bound) over (order by l.lower_bound) as next
          from audit.partition_list() as l) as p
    where p.upper_bound < p.next
    order by p.upper_bound
  loop
    v_added := audit.fill_log(v_gap.lower_bound, v_gap.upper_bound, v_until,
      v_spares_until);
    if v_added > 0 then
      return v_added;
    end if;
  end loop;

  v_spare := audit.spare_to_split(v_until, v_spares_until);
  if v_spare is null then
    return 0;
  end if;
  execute format('alter table audit.log detach partition audit.%I', v_spare);
  if not audit.is_partition_empty(v_spare) then
    raise exception 'rows have come into audit.%', v_spare
      using errcode = '40001', hint = 'Call audit.maintain() again.';
  end if;
  execute format('drop table audit.%I', v_spare);
  if v_spare = 'log_future' then
    perform audit.add_partition('log_future', v_spares_until::text, 'maxvalue');
  end if;
  return 1;
exception
  when lock_not_available then
    perform audit.gave_up(array['audit.option', 'audit.log']);
    return null;
end;
$$;

revoke all on function audit.maintain(interval) from public;

comment on function audit.maintain(interval) is
  'Public. Makes a step towards partitions for the given time ahead; returns the number of changes '
  'made, 0 when there is nothing left to do.';
