-- After a restore or an import: all that the log has now is past, whatever its transaction ids.
create or replace function audit.begin_era()
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '10s'
as $$
begin
  return audit.add_era('restored');
end;
$$;

revoke all on function audit.begin_era() from public;

comment on function audit.begin_era() is
  'Public. To be called once after the log was restored on another server: exports then count from '
  'here.';
