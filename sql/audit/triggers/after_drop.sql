-- What went with something else, by a cascade, is no object of the command: a tracked table that is
-- gone stops being tracked, and one that lost triggers gets them back.
create or replace function audit.after_drop()
  returns event_trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_stack text;
  v_hit oid[];
begin
  get diagnostics v_stack = pg_context;
  if v_stack ~ 'function audit\.(install_compiled|remove_declaration)\(' then
    return;
  end if;
  select array_agg(case d.classid when 'pg_class'::regclass then d.objid
      else to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) end)
    into v_hit
    from pg_event_trigger_dropped_objects() as d
    where d.classid = 'pg_class'::regclass
      or d.classid = 'pg_trigger'::regclass and d.address_names[3] ~ '^_audit_';
  -- Whether DDL is followed is one thing, and this is a part of it.
  if not exists (select from audit.tracked as k where k.tables::oid[] && v_hit)
    or not exists (select from pg_event_trigger as e
                   where e.evtname = 'audit_after_ddl' and e.evtenabled <> 'D')
  then
    return;
  end if;
  perform audit.refresh(k.target)
    from audit.tracked as k
    where k.tables::oid[] && v_hit
      and (exists (
          select from unnest(k.tables) as r (relation)
          where not exists (select from pg_class as c where c.oid = r.relation))
        or k.trigger_count > (
          select count(*) from pg_trigger as g
          where g.tgrelid = k.target and g.tgname ~ '^_audit_' and g.tgenabled in ('A', 'D')));
end;
$$;

revoke all on function audit.after_drop() from public;

comment on function audit.after_drop() is
  'Event trigger: follows tracked tables and triggers of theirs that are gone.';
