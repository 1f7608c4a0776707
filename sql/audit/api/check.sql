-- All that can be wrong with the log, looked for in the catalogue. It reads with the rights of its
-- owner, so that a role for monitoring needs the right to call it and nothing else. What the session
-- is set to changes neither what is found nor how it is told. Whether the code is what was installed
-- it cannot say of itself: auditdb check asks that first.
create or replace function audit.check(pending_after interval default '1 hour')
  returns setof audit.finding
  language sql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
  set transform_null_equals = off
  set array_nulls = on
  set timezone = 'UTC'
  set datestyle = 'ISO, YMD'
  set intervalstyle = 'postgres'
  set extra_float_digits = 1
  set bytea_output = 'hex'
  set row_security = on
  set lock_timeout = '5s'
  set jit = off
as $$
  select * from audit.check_event_triggers()
  union all
  select * from audit.check_tables()
  union all
  select * from audit.check_functions()
  union all
  select * from audit.check_layouts()
  union all
  select * from audit.check_layout_readers()
  union all
  select * from audit.check_triggers()
  union all
  select * from audit.check_restored()
  union all
  select * from audit.check_untracked()
  union all
  select * from audit.check_guard()
  union all
  select * from audit.check_rights()
  union all
  select * from audit.check_policies()
  union all
  select * from audit.check_writers()
  union all
  select * from audit.check_readers()
  union all
  select * from audit.check_partitions()
  union all
  select * from audit.check_spares()
  union all
  select * from audit.check_import()
  union all
  select * from audit.check_rows()
  union all
  select * from audit.check_storage()
  union all
  select * from audit.check_changes()
  union all
  select * from audit.check_eras()
  union all
  select * from audit.check_replication()
  union all
  select * from audit.check_summaries()
  union all
  select * from audit.check_strangers()
  union all
  select * from audit.check_sessions(pending_after)
  union all
  select * from audit.check_size()
$$;

revoke all on function audit.check(interval) from public;

comment on function audit.check(interval) is
  'Public. What is wrong with the log, each with the command that mends it, and what is good to know '
  'of it, whose severity is info.';
