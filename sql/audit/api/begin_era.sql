-- After a restore or an import: all that the log has now is past, whatever its transaction ids.
create or replace function audit.begin_era()
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '10s'
as $$
declare
  v_floor bigint;
  v_number integer;
begin
  -- Nobody is writing now, so that every row is visible, and every later one has a greater id.
  lock table audit.log in share row exclusive mode;
  select greatest(coalesce((select max(l.id) from audit.log as l), 0),
      case when s.is_called then s.last_value else s.last_value - 1 end)
    into v_floor
    from audit.log_id_seq as s;
  if v_floor > 0 then
    perform setval('audit.log_id_seq', v_floor);
  end if;
  update audit.era as e
    set floor = v_floor, began_at = clock_timestamp()
    where e.floor is null
    returning e.number into v_number;
  if not found then
    insert into audit.era (number, log, server, kind, floor)
    select coalesce(max(e.number), 0) + 1,
        coalesce((array_agg(e.log order by e.number desc))[1], gen_random_uuid()),
        (select s.system_identifier from pg_control_system() as s), 'restored', v_floor
      from audit.era as e
      returning number into v_number;
  end if;
  return v_number;
end;
$$;

revoke all on function audit.begin_era() from public;

comment on function audit.begin_era() is
  'Public. To be called once after the log was restored on another server: exports then count from '
  'here.';
