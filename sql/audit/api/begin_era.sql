-- After a restore or replication: all that the log has now is past, whatever its transaction ids.
-- Rows that were replicated came in any order, so that no place of before tells which are new.
create or replace function audit.begin_era()
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '10s'
as $$
begin
  return audit.add_era(case when exists (select from audit.check_replication()) then 'replicated'
    else 'restored' end);
end;
$$;

revoke all on function audit.begin_era() from public;

comment on function audit.begin_era() is
  'Public. To be called once after the log was restored on another server, or where one was '
  'replicated to it: exports then count from here.';
