-- Event triggers follow DDL where a superuser owns the log; elsewhere there are none to miss.
create or replace function audit.check_event_triggers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when e.oid is null then 'event_trigger_missing' else 'event_trigger_disabled' end,
    'error', n.name,
    case when e.oid is null then 'The event trigger is gone' else 'The event trigger is disabled, '
      'or not enabled always' end || case when n.name = 'audit_after_subscription'
      then ': no era begins where rows of another server come.'
      else ': triggers no longer follow changes of tables.' end,
    'select audit.follow_ddl();'
  from unnest(array['audit_before_ddl', 'audit_after_ddl', 'audit_after_drop',
    'audit_after_subscription']) as n (name)
  left join pg_event_trigger as e on e.evtname = n.name
  where (e.oid is null or e.evtenabled <> 'A')
    and (select r.rolsuper from pg_class as c join pg_roles as r on r.oid = c.relowner
         where c.oid = 'audit.log'::regclass)
$$;

revoke all on function audit.check_event_triggers() from public;

comment on function audit.check_event_triggers() is
  'Findings: event triggers that are missing or disabled.';
