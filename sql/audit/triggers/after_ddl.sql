-- After DDL on a tracked table its triggers are compiled anew in the same transaction. Every command
-- comes here, so what concerns no tracked table ends with one look into an index; and so do those by
-- which a table is compiled, for a declaration says itself that it is being compiled.
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
      select w from audit.touched_with(c.classid, c.objid) as w where tg_tag like 'ALTER %'
    ) as t (oid)
    left join lateral (
      select p.relid::oid from pg_partition_ancestors(t.oid) as p
      union all
      select i.inhparent from pg_inherits as i where i.inhrelid = t.oid
    ) as a (relid) on true;
  if tg_tag <> 'ALTER TABLE'
    and not exists (select from audit.tracked as k where k.tables::oid[] && (v_touched || v_roots))
  then
    return;
  end if;
  perform audit.refuse_inheritance(v_touched);
  -- Triggers that the owner disabled stay so (a restore does it), but not in silence.
  perform audit.write_table_event('tracking_changed', audit.name_of(k.target),
      jsonb_build_object('triggers', jsonb_build_object('new', 'disabled')))
    from audit.tracked as k
    where k.target = any (v_touched || v_roots) and k.inputs <> 'compiling'
      and exists (select from pg_trigger as g
                  where (g.tgrelid = k.target or g.tgrelid = any (v_touched))
                    and g.tgenabled = 'D' and g.tgname ~ '^_audit_');
  if tg_tag = 'ALTER TABLE' then
    perform audit.leave_partitions(k.target)
      from audit.tracked as k
      where k.target = any (v_touched::regclass[]) and k.inputs <> 'compiling';
  end if;
  get diagnostics v_stack = pg_context;
  perform audit.refresh(s.target)
    from (
      select k.target
      from audit.tracked as k
      where k.tables::oid[] && (v_touched || v_roots) and k.inputs <> 'compiling'
        and audit.is_stale(k, v_touched || v_roots)
        -- Between two statements that replace a key whose columns are gone, writes wait for it.
        and audit.key_of(k.target) <> '{}'
      union
      -- What before_ddl() widened because the text names it, whether the command touched it or not.
      select k.target
      from audit.tables_altered(audit.statement_of(v_stack)) as n (target)
      join audit.tracked as k on k.target = n.target
      where tg_tag in ('ALTER TABLE', 'ALTER TYPE') and k.inputs = ''
        and audit.key_of(k.target) <> '{}'
    ) as s;
end;
$$;

revoke all on function audit.after_ddl() from public;

comment on function audit.after_ddl() is
  'Event trigger: compiles tracked tables anew that a command has changed.';
