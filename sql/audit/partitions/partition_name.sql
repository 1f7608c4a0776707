-- A partition is named after its time: log_2026_11, log_2026_q4, log_2026, or from and to.
create or replace function audit.partition_name(lower_bound timestamptz, upper_bound timestamptz)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
  select 'log_' || case
    when upper_bound = lower_bound + interval '1 month'
      and lower_bound = date_trunc('month', lower_bound) then to_char(lower_bound, 'YYYY_MM')
    when upper_bound = lower_bound + interval '3 months'
      and lower_bound = date_trunc('quarter', lower_bound) then to_char(lower_bound, 'YYYY_"q"Q')
    when upper_bound = lower_bound + interval '1 year'
      and lower_bound = date_trunc('year', lower_bound) then to_char(lower_bound, 'YYYY')
    when lower_bound = date_trunc('month', lower_bound)
      and upper_bound = date_trunc('month', upper_bound)
      then to_char(lower_bound, 'YYYY_MM') || '_to_'
        || to_char(upper_bound - interval '1 day', 'YYYY_MM')
    -- Bounds that somebody chose by hand.
    else to_char(lower_bound, 'YYYY_MM_DD') || '_to_' || to_char(upper_bound, 'YYYY_MM_DD')
  end || case when lower_bound < '0001-01-01 00:00:00+00' then '_bc' else '' end
$$;

revoke all on function audit.partition_name(timestamptz, timestamptz) from public;

comment on function audit.partition_name(timestamptz, timestamptz) is
  'Name of the partition of the log between two times.';
