-- Whether the triggers of tracked tables and of their partitions are there, as compiled, and fire.
create or replace function audit.check_triggers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
  with relation as (
    select k.target, audit.name_of(k.target) as target_name, k.compiled -> 'triggers' as triggers,
      r as relid, audit.name_of(r) as name,
      audit.name_of(k.target) = k.compiled ->> 'name'
        and audit.fingerprint(k) = k.compiled ->> 'fingerprint' as is_current
    from audit.tracked as k
    cross join lateral audit.triggered_relations(k.target) as r
    where audit.name_of(k.target) is not null
  ), expected as (
    select r.*, e.key as trigger, g.oid,
      format('create trigger %I %s', e.key,
        replace(e.value, format(' on %s ', r.target), format(' on %s ', r.name))) as ddl
    from relation as r
    cross join lateral jsonb_each_text(r.triggers) as e
    left join pg_trigger as g on g.tgrelid = r.relid and g.tgname = e.key
    where audit.carries(r.relid, r.target, e.key)
  )
  select 'trigger_missing', 'error', format('%I on %s', e.trigger, e.name),
    'The trigger is gone: what it records is missed.',
    format('select audit.refresh(%L);', e.target_name)
  from expected as e
  where e.oid is null
  union all
  select 'trigger_changed', 'error', format('%I on %s', e.trigger, e.name),
    'The trigger is not the one that was compiled: it may miss something.',
    format('drop trigger %I on %s; select audit.refresh(%L);', e.trigger, e.name, e.target_name)
  from expected as e
  where lower(pg_get_triggerdef(e.oid)) <> lower(e.ddl)
    -- Of a table that has changed itself, audit.check_tables() tells.
    and e.is_current
  union all
  select case g.tgenabled when 'D' then 'trigger_disabled' else 'trigger_not_always' end, 'error',
    format('%I on %s', g.tgname, r.name),
    case g.tgenabled when 'D' then 'The trigger is disabled: what it records is missed.'
      else 'The trigger does not fire in every session: it must, whatever '
        'session_replication_role is.' end,
    format('alter table %s enable always trigger %I;', r.name, g.tgname)
  from relation as r
  join pg_trigger as g on g.tgrelid = r.relid
  where g.tgname ~ '^_audit_' and g.tgenabled <> 'A'
    -- Enabling the trigger of the whole table enables those of its partitions.
    and not exists (select from pg_trigger as p
                    where p.oid = g.tgparentid and p.tgenabled = g.tgenabled)
$$;

revoke all on function audit.check_triggers() from public;

comment on function audit.check_triggers() is
  'Findings: triggers of tracked tables that are missing, changed or disabled.';
