-- A time whose rows shall not lie with those of other times: history from before the log, or what a
-- clock wrote that was ahead. What spans its interval and more is cut in pieces: the intervals that
-- have rows, and what is between them. An empty partition goes; the rows of another one are moved,
-- which keeps writers out as long as that takes.
create or replace function audit.add_interval(moment timestamptz)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
  set lock_timeout = '20ms'
as $$
declare
  -- Beyond them an interval would begin or end where no time is.
  v_earliest constant timestamptz := '4713-01-01 00:00:00+00 BC';
  v_latest constant timestamptz := '294240-01-01 00:00:00+00';
  v_every text := (select o.value from audit.option as o where o.name = 'partition_interval');
  v_around record;
  v_begin timestamptz;
  v_end timestamptz;
  v_cuts timestamptz[];
  v_cut timestamptz;
  v_at timestamptz;
  v_columns text;
begin
  if add_interval.moment < v_earliest or add_interval.moment >= v_latest then
    return 0;
  end if;
  -- As audit.maintain() does.
  lock table audit.option in share row exclusive mode;
  v_begin := date_trunc(v_every, add_interval.moment);
  v_end := audit.interval_after(add_interval.moment);
  select * into v_around
    from audit.partition_list() as l
    where l.lower_bound <= add_interval.moment and l.upper_bound > add_interval.moment;
  if not found then
    perform audit.add_piece(
      greatest(v_begin, (select max(l.upper_bound) from audit.partition_list() as l
                         where l.upper_bound <= add_interval.moment)),
      least(v_end, (select min(l.lower_bound) from audit.partition_list() as l
                    where l.lower_bound > add_interval.moment)));
    return 1;
  end if;
  if v_around.lower_bound >= v_begin and v_around.upper_bound <= v_end then
    return 0;
  end if;

  execute format('alter table audit.log detach partition audit.%I', v_around.partition);
  delete from audit.closed_partition as c where c.partition = v_around.partition;
  execute format(
    'select array_agg(c) from (select distinct date_trunc(%L, occurred_at) as c from audit.%I '
    'where occurred_at >= %L and occurred_at < %L order by 1 desc limit 300) as c',
    v_every, v_around.partition, v_earliest, v_latest) into v_cuts;
  if v_cuts is null and audit.is_partition_empty(v_around.partition) then
    execute format('drop table audit.%I', v_around.partition);
  else
    execute format('alter table audit.%I rename to moving', v_around.partition);
  end if;
  v_at := v_around.lower_bound;
  for v_cut in select distinct c from unnest(v_cuts || v_begin) as c order by c loop
    v_begin := greatest(v_cut, v_around.lower_bound);
    v_end := least(audit.interval_after(v_cut), v_around.upper_bound);
    if v_at < v_begin then
      perform audit.add_piece(v_at, v_begin);
    end if;
    perform audit.add_piece(v_begin, v_end);
    v_at := v_end;
  end loop;
  if v_at < v_around.upper_bound then
    perform audit.add_piece(v_at, v_around.upper_bound);
  end if;
  if to_regclass('audit.moving') is not null then
    select string_agg(quote_ident(a.attname), ', ') into v_columns
      from pg_attribute as a
      where a.attrelid = 'audit.log'::regclass and a.attnum > 0 and not a.attisdropped;
    execute format('insert into audit.log (%1$s) select %1$s from audit.moving', v_columns);
    drop table audit.moving;
  end if;
  return 1;
end;
$$;

revoke all on function audit.add_interval(timestamptz) from public;

comment on function audit.add_interval(timestamptz) is
  'Public. Makes a partition for the interval of a time alone; returns 1, or 0 where there is one.';
