-- Partitions for a span of the log that has none: one for each interval as long as they are wanted,
-- then spare ones, of a year at most. Rows fall into spares only if maintenance is forgotten.
create or replace function audit.fill_log(
  lower_bound timestamptz,
  upper_bound timestamptz,
  wanted_until timestamptz
)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_from timestamptz := fill_log.lower_bound;
  v_to timestamptz;
  v_added integer := 0;
begin
  while v_from < fill_log.upper_bound loop
    if v_from < fill_log.wanted_until then
      v_to := audit.interval_after(v_from);
    else
      v_to := date_trunc('year', v_from) + interval '1 year';
    end if;
    v_to := least(v_to, fill_log.upper_bound);
    perform audit.add_partition(audit.partition_name(v_from, v_to), v_from::text, v_to::text);
    v_from := v_to;
    v_added := v_added + 1;
  end loop;
  return v_added;
end;
$$;

revoke all on function audit.fill_log(timestamptz, timestamptz, timestamptz) from public;

comment on function audit.fill_log(timestamptz, timestamptz, timestamptz) is
  'Adds partitions of the log between two times; returns how many.';
