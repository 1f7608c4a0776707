-- How long each moment has a partition of its own: until the spares, and until the one for the rest.
create or replace function audit.check_spares()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
declare
  v_future text;
  v_future_from timestamptz;
  v_wide_from timestamptz;
  v_until timestamptz;
begin
  select l.partition, l.lower_bound into v_future, v_future_from
    from audit.partition_list() as l where l.upper_bound = 'infinity';
  -- Spares of a year are no end: rows find a place there. But they are meant to become partitions
  -- of the interval before.
  select min(l.lower_bound) into v_wide_from
    from audit.partition_list() as l
    where l.lower_bound >= now() + interval '1 day'
      and l.upper_bound > audit.interval_after(l.lower_bound);
  if v_future_from < now() + interval '6 months' or v_wide_from < now() + interval '1 month' then
    return query select 'partitions_running_out',
      case when v_future_from < now() + interval '1 month' then 'error' else 'warning' end,
      'audit.log',
      case when v_future_from < now() + interval '6 months'
        then format('The partitions of the log end at %s; after that all rows go to one.',
          v_future_from)
        else format('From %s on rows go to spare partitions of up to a year: maintenance has been '
          'forgotten.', v_wide_from) end,
      'auditdb maintain';
  end if;
  if v_future is not null then
    execute format('select max(occurred_at) from audit.%I', v_future) into v_until;
  end if;
  if v_until is not null then
    return query select 'rows_in_catch_all', 'warning', format('audit.%I', v_future),
      'Rows lie in the partition for all that is to come: partitions were not made in time, or '
      'the clock of the server was wrong. They can have partitions of their own.',
      format('select audit.add_interval(%L);', v_until);
  end if;
end;
$$;

revoke all on function audit.check_spares() from public;

comment on function audit.check_spares() is
  'Findings: partitions that soon will be missing, and rows in the one for all that is to come.';
