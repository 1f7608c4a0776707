-- Partitions for a span of the log that has none: one for each interval as long as they are wanted,
-- then spare ones, of a year at most. Rows fall into spares only if maintenance is forgotten. What is
-- beyond them, before the rows of a clock that was ahead, is one; so is what is long past, between
-- rows of history. What has the name of a partition was detached by somebody, who will not want it
-- back.
create or replace function audit.fill_log(
  lower_bound timestamptz,
  upper_bound timestamptz,
  wanted_until timestamptz,
  spares_until timestamptz
)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_from timestamptz := fill_log.lower_bound;
  v_to timestamptz;
  v_name text;
  v_added integer := 0;
begin
  while v_from < fill_log.upper_bound loop
    if fill_log.upper_bound < now() and fill_log.upper_bound > v_from + interval '20 years' then
      v_to := fill_log.upper_bound;
    elsif v_from < fill_log.wanted_until then
      v_to := audit.interval_after(v_from);
    elsif v_from >= fill_log.spares_until then
      v_to := fill_log.upper_bound;
    else
      v_to := date_trunc('year', v_from) + interval '1 year';
    end if;
    v_to := least(v_to, fill_log.upper_bound);
    v_name := audit.partition_name(v_from, v_to);
    if to_regclass(format('audit.%I', v_name)) is null then
      perform audit.add_partition(v_name, v_from::text, v_to::text);
      v_added := v_added + 1;
    end if;
    v_from := v_to;
  end loop;
  return v_added;
end;
$$;

revoke all on function audit.fill_log(timestamptz, timestamptz, timestamptz, timestamptz) from public;

comment on function audit.fill_log(timestamptz, timestamptz, timestamptz, timestamptz) is
  'Adds partitions of the log between two times; returns how many.';
