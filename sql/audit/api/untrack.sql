-- Ends the tracking of a table: its triggers and functions go, its history stays. Idempotent.
create or replace function audit.untrack(target regclass)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_tracked audit.tracked;
  v_waits constant text := audit.bound_waits();
  v_is_tracked boolean;
begin
  lock table audit.tracked in share row exclusive mode;
  select * into v_tracked from audit.tracked as k where k.target = untrack.target;
  v_is_tracked := found;
  if v_is_tracked then
    perform audit.remove_declaration(v_tracked);
  end if;
  perform set_config('lock_timeout', v_waits, true);
  return case when v_is_tracked then 'stopped' else 'unchanged' end;
exception
  when lock_not_available then
    perform audit.gave_up(array['audit.tracked', untrack.target]);
    return null;
end;
$$;

revoke all on function audit.untrack(regclass) from public;

comment on function audit.untrack(regclass) is
  'Public. Stops tracking a table, whose rows of the log stay; says whether it stopped or is '
  'unchanged.';
