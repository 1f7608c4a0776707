-- What went with something else, by a cascade, is no object of the command: a tracked table that is
-- gone stops being tracked, and one that lost triggers or columns is compiled anew.
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
  v_hit oid[];
begin
  select array_agg(case d.classid when 'pg_class'::regclass then d.objid
      else to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) end)
    into v_hit
    from pg_event_trigger_dropped_objects() as d
    where d.classid = 'pg_class'::regclass
      or d.classid = 'pg_trigger'::regclass and d.address_names[3] ~ '^_audit_'
      -- A foreign key that went with its other table.
      or d.classid = 'pg_constraint'::regclass and d.object_type = 'table constraint'
        and tg_tag <> 'ALTER TABLE';
  -- Whether DDL is followed is one thing, and this is a part of it.
  if v_hit is null or not audit.follows_ddl() then
    return;
  end if;
  perform audit.refresh(k.target)
    from audit.tracked as k
    where k.tables::oid[] && v_hit and k.inputs <> 'compiling' and audit.is_stale(k, v_hit)
      and (audit.name_of(k.target) is null or audit.key_of(k.target) <> '{}');
end;
$$;

revoke all on function audit.after_drop() from public;

comment on function audit.after_drop() is
  'Event trigger: follows what tracked tables lost, and those that are gone.';
