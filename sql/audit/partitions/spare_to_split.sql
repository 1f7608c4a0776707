-- A spare that would rather be partitions of the interval, far enough ahead that no row is due; or
-- else the partition for all that is to come, where the spares do not reach far enough.
create or replace function audit.spare_to_split(wanted_until timestamptz, spares_until timestamptz)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_spare text;
begin
  select l.partition into v_spare
    from audit.partition_list() as l
    where l.lower_bound >= now() + interval '1 day'
      and l.lower_bound < spare_to_split.wanted_until
      and l.upper_bound > audit.interval_after(l.lower_bound)
      and audit.is_partition_empty(l.partition)
    order by l.lower_bound
    limit 1;
  if not found then
    select l.partition into v_spare
      from audit.partition_list() as l
      where l.upper_bound = 'infinity' and l.lower_bound < spare_to_split.spares_until
        and l.lower_bound >= now() + interval '1 day'
        and audit.is_partition_empty(l.partition);
  end if;
  return v_spare;
end;
$$;

revoke all on function audit.spare_to_split(timestamptz, timestamptz) from public;

comment on function audit.spare_to_split(timestamptz, timestamptz) is
  'The empty partition that is to make room for others; null where there is none.';
