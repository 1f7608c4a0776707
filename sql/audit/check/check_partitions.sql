-- Whether every moment from now on has its partition.
create or replace function audit.check_partitions()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
declare
  v_first timestamptz;
  v_last timestamptz;
  v_gap record;
begin
  select min(l.lower_bound), max(l.upper_bound) into v_first, v_last
    from audit.partition_list() as l;

  if v_first <> '-infinity' then
    return query select 'partition_missing', 'warning', 'audit.log_past',
      format('The log has no partition for what was before %s: such rows cannot be brought in.',
        v_first),
      format('select audit.add_partition(''log_past'', ''minvalue'', %L);', v_first);
  end if;
  -- What was detached to be kept elsewhere is no fault, as long as nothing is written there.
  for v_gap in
    select p.upper_bound as starts, p.next as ends,
      audit.partition_name(p.upper_bound, p.next) as name
    from (select l.upper_bound, lead(l.lower_bound) over (order by l.lower_bound) as next
          from audit.partition_list() as l) as p
    where p.upper_bound < p.next and p.next > now()
  loop
    return query select 'partition_missing', 'error', format('audit.%I', v_gap.name),
      format('The log has no partition from %s to %s: writes of that time fail.',
        v_gap.starts, v_gap.ends),
      format('select audit.add_partition(%L, %L, %L);', v_gap.name, v_gap.starts, v_gap.ends);
  end loop;
  if v_last <> 'infinity' then
    return query select 'partition_missing', 'error', 'audit.log_future',
      format('The log has no partition for what comes after %s: writes of that time fail.',
        v_last),
      format('select audit.add_partition(''log_future'', %L, ''maxvalue'');', v_last);
  end if;
end;
$$;

revoke all on function audit.check_partitions() from public;

comment on function audit.check_partitions() is
  'Findings: times for which the log has no partition.';
