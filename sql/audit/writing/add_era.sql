-- Nobody is writing when an era begins, so that every row is visible, and every later one is of the new
-- era. What an import has begun becomes it.
create or replace function audit.add_era(kind text)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_number integer;
begin
  lock table only audit.log in access exclusive mode;
  update audit.era as e
    set is_open = false, began_at = clock_timestamp()
    where e.is_open
    returning e.number into v_number;
  if not found then
    insert into audit.era (number, log, server, kind)
    select coalesce(max(e.number), 0) + 1,
        coalesce((array_agg(e.log order by e.number desc))[1], gen_random_uuid()),
        (select s.system_identifier from pg_control_system() as s), add_era.kind
      from audit.era as e
      returning number into v_number;
  end if;
  execute format('alter table only audit.log alter column era set default %s', v_number);
  return v_number;
end;
$$;

revoke all on function audit.add_era(text) from public;

comment on function audit.add_era(text) is
  'Begins an era, or the one that an import has opened; returns its number.';
