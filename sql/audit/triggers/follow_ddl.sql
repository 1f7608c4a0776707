-- Event triggers take a superuser; without them audit.refresh() is called by hand after DDL.
create or replace function audit.follow_ddl()
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not (select r.rolsuper from pg_roles as r where r.rolname = current_user) then
    return;
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_before_ddl') then
    create event trigger audit_before_ddl on ddl_command_start
      when tag in ('ALTER TABLE', 'ALTER TYPE')
      execute function audit.before_ddl();
    comment on event trigger audit_before_ddl is
      'Makes way for ALTER TABLE on the columns of tracked tables.';
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_after_ddl') then
    create event trigger audit_after_ddl on ddl_command_end
      when tag in ('ALTER TABLE', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE SCHEMA', 'CREATE TRIGGER',
        'ALTER TRIGGER', 'ALTER INDEX', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER EXTENSION',
        'ALTER COLLATION', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER FOREIGN TABLE',
        'CREATE FOREIGN TABLE')
      execute function audit.after_ddl();
    comment on event trigger audit_after_ddl is
      'Compiles tracked tables anew that a command has changed.';
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_after_drop') then
    create event trigger audit_after_drop on sql_drop
      execute function audit.after_drop();
    comment on event trigger audit_after_drop is
      'Follows what tracked tables lost, and those that are gone.';
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_after_subscription') then
    create event trigger audit_after_subscription on ddl_command_end
      when tag in ('CREATE SUBSCRIPTION', 'ALTER SUBSCRIPTION')
      execute function audit.after_subscription();
    comment on event trigger audit_after_subscription is
      'Begins an era of the log where a subscription writes to it.';
  end if;
  alter event trigger audit_before_ddl enable always;
  alter event trigger audit_after_ddl enable always;
  alter event trigger audit_after_drop enable always;
  alter event trigger audit_after_subscription enable always;
end;
$$;

revoke all on function audit.follow_ddl() from public;

comment on function audit.follow_ddl() is
  'Creates and enables the event triggers; does nothing for a role that may not.';

select audit.follow_ddl();
