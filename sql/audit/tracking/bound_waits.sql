-- Nobody waits for ever, and without a word, for a lock that somebody else holds. What the caller
-- chose stays; he sets back what this returns.
create or replace function audit.bound_waits()
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_before text := current_setting('lock_timeout');
begin
  if v_before = '0' then
    perform set_config('lock_timeout', '10s', true);
  end if;
  return v_before;
end;
$$;

revoke all on function audit.bound_waits() from public;

comment on function audit.bound_waits() is
  'Lets this transaction wait for a lock for ten seconds, unless lock_timeout is set; returns what '
  'it was before.';
