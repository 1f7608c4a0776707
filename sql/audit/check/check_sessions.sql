-- Sessions that hold something back, and settings and subscriptions that change what fires.
create or replace function audit.check_sessions(pending_after interval)
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'prepared_transaction_old', 'warning', p.gid,
    format('The transaction was prepared at %s in database %s and is still open: what reads the '
      'log by watermark stops before it.', to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SSOF'),
      p.database),
    format('rollback prepared %L;', p.gid)
  from pg_prepared_xacts as p
  where p.prepared < clock_timestamp() - check_sessions.pending_after
  union all
  select 'transaction_old', 'warning', format('process %s', a.pid),
    format('A transaction of %s in database %s has been writing since %s: what reads the log by '
      'watermark stops before it.', a.usename, a.datname,
      to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SSOF')),
    format('select pg_terminate_backend(%s);', a.pid)
  from pg_stat_activity as a
  where a.backend_xid is not null and a.pid <> pg_backend_pid()
    and a.xact_start < clock_timestamp() - check_sessions.pending_after
  union all
  select 'sessions_hidden', 'warning', quote_ident(current_user::text),
    'Of sessions of other roles the owner of the log does not see since when they write, so old '
    'transactions are not found.',
    format('grant pg_read_all_stats to %I;', current_user)
  where not pg_has_role(current_user, 'pg_read_all_stats', 'usage')
  union all
  select 'replica_by_default', 'warning',
    concat_ws(' in ', 'role ' || quote_ident(r.rolname), 'database ' || quote_ident(d.datname)),
    'session_replication_role is set here: tracking goes on, but foreign keys and the '
    'application''s own triggers do not fire.',
    case when r.rolname is null then format('alter database %I', d.datname)
      when d.datname is null then format('alter role %I', r.rolname)
      else format('alter role %I in database %I', r.rolname, d.datname) end
    || ' reset session_replication_role;'
  from pg_db_role_setting as s
  left join pg_roles as r on r.oid = s.setrole
  left join pg_database as d on d.oid = s.setdatabase
  where (s.setdatabase = 0 or d.datname = current_database())
    and exists (select from unnest(s.setconfig) as c
                where c in ('session_replication_role=replica', 'session_replication_role=local'))
  union all
  select 'replica_by_default', 'warning', 'server',
    'session_replication_role is set for all of the server: tracking goes on, but foreign keys and '
    'the application''s own triggers do not fire.',
    'alter system reset session_replication_role; select pg_reload_conf();'
  from pg_settings as s
  where s.name = 'session_replication_role' and s.setting <> 'origin'
    and s.source in ('configuration file', 'command line', 'environment variable')
  union all
  select 'subscription_writes', 'error', format('%I to %s', s.subname, audit.name_of(w.srrelid)),
    'A subscription writes to the table: after the initial copy, its insertions and deletions fire no '
    'statement triggers and are missed. Track the table where it is written first.',
    format('alter subscription %I disable;', s.subname)
  from pg_subscription_rel as w
  join pg_subscription as s on s.oid = w.srsubid
  where s.subenabled
    and w.srrelid in (select r from audit.tracked as k
                      cross join lateral audit.triggered_relations(k.target) as r)
$$;

revoke all on function audit.check_sessions(interval) from public;

comment on function audit.check_sessions(interval) is
  'Findings: old transactions that are pending, and what keeps triggers from firing.';
