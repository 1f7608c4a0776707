-- Rows of another server, which logical replication writes to the log, or wrote: they carry that
-- server's transaction ids. Of rows of this one, none that is seen has an id that was not given out,
-- but for those that the present transaction wrote.
create or replace function audit.check_replication()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'log_replicated', 'error', quote_ident(s.subname),
    'The subscription writes rows of another server to the log, whose transaction ids do not count '
      'here: exports and log --follow are refused. Export from the server that publishes them; or '
      'begin an era, end the subscription, and begin with another state file.',
    format('select audit.begin_era(); -- and then, by itself: drop subscription %I;', s.subname)
  from pg_subscription_rel as w
  join pg_subscription as s on s.oid = w.srsubid
  where pg_partition_root(w.srrelid) = 'audit.log'::regclass
  group by s.subname
  union all
  select 'rows_foreign', 'error', 'audit.log',
    'The log has rows with transaction ids that this server has not given out yet, as after '
      'replication from another one: exports and log --follow are refused. Begin with another state '
      'file afterwards.',
    'select audit.begin_era();'
  from audit.era as e
  where e.number = (select max(m.number) from audit.era as m where not m.is_open)
    -- Of a log that was restored on another server check_eras() tells.
    and e.server = (select c.system_identifier from pg_control_system() as c)
    and exists (select from audit.log as l
                where l.era = e.number
                  and l.tx >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                  and l.tx is distinct from pg_current_xact_id_if_assigned()::text::bigint)
$$;

revoke all on function audit.check_replication() from public;

comment on function audit.check_replication() is
  'Findings: rows of another server, that a subscription writes to the log or wrote.';
