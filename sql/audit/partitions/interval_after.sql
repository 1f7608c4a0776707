-- Partitions begin and end where an interval of the option partition_interval does, in UTC.
create or replace function audit.interval_after(moment timestamptz)
  returns timestamptz
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
  select date_trunc(o.value, interval_after.moment) + case o.value
    when 'month' then interval '1 month' when 'quarter' then interval '3 months'
    else interval '1 year' end
  from audit.option as o
  where o.name = 'partition_interval'
$$;

revoke all on function audit.interval_after(timestamptz) from public;

comment on function audit.interval_after(timestamptz) is
  'The end of the interval that a time lies in.';
