-- After DDL on a tracked table its triggers are compiled anew in the same transaction. Every command
-- comes here, so what concerns no tracked table ends with one look into an index.
create or replace function audit.after_ddl()
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
  v_touched oid[];
  v_roots oid[];
begin
  get diagnostics v_stack = pg_context;
  if v_stack ~ 'function audit\.(install_compiled|remove_declaration)\(' then
    return;
  end if;
  select array_agg(t.oid), array_agg(a.relid) filter (where a.relid is not null)
    into v_touched, v_roots
    from pg_event_trigger_ddl_commands() as c
    cross join lateral (
      select c.objid where c.classid <> all (array['pg_trigger', 'pg_namespace']::regclass[])
      union all
      select g.tgrelid from pg_trigger as g
      where c.classid = 'pg_trigger'::regclass and g.oid = c.objid
      union all
      select r.oid from pg_class as r
      where c.classid = 'pg_namespace'::regclass and r.relnamespace = c.objid
      union all
      select u.relation from audit.users_of(c.classid, c.objid) as u (relation)
      where c.classid = any (
        array['pg_type', 'pg_collation', 'pg_extension', 'pg_namespace']::regclass[])
    ) as t (oid)
    left join lateral pg_partition_ancestors(t.oid) as a on true;
  if tg_tag <> 'ALTER TABLE'
    and not exists (select from audit.tracked as k where k.tables::oid[] && (v_touched || v_roots))
  then
    return;
  end if;
  -- Triggers that the owner disabled stay so (a restore does it), but not in silence.
  perform audit.write_table_event('tracking_changed', audit.name_of(k.target),
      jsonb_build_object('triggers', jsonb_build_object('new', 'disabled')))
    from audit.tracked as k
    where k.target = any (v_touched::regclass[])
      and exists (select from pg_trigger as g
                  where g.tgrelid = k.target and g.tgenabled = 'D' and g.tgname ~ '^_audit_');
  perform audit.refresh(s.target)
    from (
      select k.target
      from audit.tracked as k
      where k.tables::oid[] && (v_touched || v_roots)
        and audit.is_stale(k, v_touched || v_roots)
        -- Between two statements that replace a key whose columns are gone, writes wait for it.
        and audit.key_of(k.target) <> '{}'
      union
      -- What before_ddl() widened because the text names it, whether the command touched it or not.
      select k.target
      from audit.tracked as k
      join pg_class as c on c.oid = k.target
      where tg_tag = 'ALTER TABLE' and k.inputs = '' and audit.key_of(k.target) <> '{}'
        and strpos(audit.ddl_text(v_stack), lower(c.relname)) > 0
    ) as s;
end;
$$;

revoke all on function audit.after_ddl() from public;

comment on function audit.after_ddl() is
  'Event trigger: compiles tracked tables anew that a command has changed.';
