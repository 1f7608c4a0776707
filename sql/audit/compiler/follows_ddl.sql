-- Where nothing follows DDL, triggers must be such that they notice a change themselves.
create or replace function audit.follows_ddl()
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_event_trigger as e
    where e.evtname = 'audit_after_ddl' and e.evtenabled <> 'D')
$$;

revoke all on function audit.follows_ddl() from public;

comment on function audit.follows_ddl() is 'Whether an event trigger follows DDL.';
