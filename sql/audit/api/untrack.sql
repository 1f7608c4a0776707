-- Ends the tracking of a table: its triggers and functions go, its history stays.
create or replace function audit.untrack(target regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_tracked audit.tracked;
begin
  lock table audit.tracked in share row exclusive mode;
  select * into v_tracked from audit.tracked as k where k.target = untrack.target;
  if not found then
    raise exception 'table % is not tracked', untrack.target
      using errcode = 'UA009', hint = 'audit.tracked lists the tables that are.';
  end if;
  perform audit.remove_declaration(v_tracked);
end;
$$;

revoke all on function audit.untrack(regclass) from public;

comment on function audit.untrack(regclass) is 'Stops tracking a table; its rows of the log stay.';
