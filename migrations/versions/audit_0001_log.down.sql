-- Undoes audit_0001, but only while the log is empty: no migration throws away what was recorded.
-- What others keep in schema audit stays, and nothing happens where they built on what would go.
-- Schema audit stays too, since Alembic keeps its version table there.

-- From here on nobody can add a row between the count and the drop.
lock table audit.log in access exclusive mode;

do $$
declare
  -- What audit_0001 made, by name.
  v_made      constant text[] := array[/* made */]::text[];
  v_rows      bigint;
  v_relations oid[];
  v_functions oid[];
  v_types     oid[];
  v_keys      text[];
  v_described text[];
  v_left      text[];
  v_lost      text;
  v_target    regclass;
  v_drop      text;
  -- All that is not of the log, with columns, defaults and the like, which a cascade could take.
  v_look constant text := $look$
    select coalesce(array_agg(concat_ws('/', o.class, o.id, o.part) order by o), '{}'),
      coalesce(array_agg(pg_describe_object(o.class, o.id, o.part) order by o), '{}')
    from (
      select 'pg_class'::regclass::oid as class, c.oid as id, 0 as part
      from pg_class as c
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and c.oid <> all ($1)
      union all
      select 'pg_class'::regclass, a.attrelid, a.attnum
      from pg_attribute as a
      where a.attnum > 0 and not a.attisdropped and a.attrelid <> all ($1)
        and a.atttypid >= 16384
      union all
      select 'pg_proc'::regclass, p.oid, 0 from pg_proc as p where p.oid <> all ($2)
      union all
      select 'pg_type'::regclass, t.oid, 0
      from pg_type as t
      where t.typtype in ('d', 'e', 'r') and t.oid <> all ($3)
      union all
      select 'pg_attrdef'::regclass, d.oid, 0 from pg_attrdef as d where d.adrelid <> all ($1)
      union all
      select 'pg_constraint'::regclass, k.oid, 0
      from pg_constraint as k
      where k.conrelid <> all ($1) and k.contypid <> all ($3)
      union all
      select 'pg_policy'::regclass, y.oid, 0 from pg_policy as y where y.polrelid <> all ($1)
      union all
      select 'pg_trigger'::regclass, g.oid, 0
      from pg_trigger as g
      where not g.tgisinternal and g.tgrelid <> all ($1)
    ) as o
    where o.id >= 16384
  $look$;
begin
  -- Fail rather than count only the rows that row security would show.
  perform set_config('row_security', 'off', true);
  select count(*) into v_rows from audit.log;
  if v_rows > 0 then
    raise exception using
      errcode = 'UA008',
      message = format('the downgrade is refused: audit.log has rows (%s) to lose', v_rows),
      hint = 'Export the log first; then `drop schema audit cascade` removes it for good, with '
        'what others keep in that schema, or built on it.';
  end if;

  -- Event triggers first, for they would act on what follows.
  for v_drop in
    select format('drop event trigger %I', e.evtname)
    from pg_event_trigger as e
    join pg_proc as p on p.oid = e.evtfoid
    where p.pronamespace = 'audit'::regnamespace
  loop
    execute v_drop;
  end loop;
  for v_target in select t.target from audit.tracked as t order by t.id loop
    perform audit.untrack(v_target);
  end loop;

  v_relations := array(
    select c.oid
    from pg_class as c
    where c.relnamespace = 'audit'::regnamespace
      and (c.relname = any (v_made) or c.relname ~ '^layout_[0-9]+$' and c.relkind = 'c'
        or c.relname = 'alembic_version')
    union
    select p.relid from pg_partition_tree('audit.log') as p);
  v_relations := v_relations || array(
    select d.objid
    from pg_depend as d
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
      and d.refobjid = any (v_relations) and d.deptype in ('a', 'i'));
  v_functions := array(
    select p.oid
    from pg_proc as p
    where p.pronamespace = 'audit'::regnamespace
      and (p.proname = any (v_made) or p.proname ~ '^layout_[0-9]+_(text|values)$'));
  v_types := array(
    select t.oid
    from pg_type as t
    where t.typnamespace = 'audit'::regnamespace and t.typname = any (v_made));
  execute v_look into v_keys, v_described using v_relations, v_functions, v_types;

  -- The log takes its partitions along, a table its indexes, triggers and own sequences.
  for v_drop in
    select d.statement
    from (
      select case c.relkind when 'v' then 1 when 'c' then 4 else 2 end,
        format('drop %s if exists audit.%I cascade', case c.relkind
          when 'v' then 'view' when 'c' then 'type' else 'table' end, c.relname)
      from pg_class as c
      where c.oid = any (v_relations) and c.relkind in ('r', 'p', 'v', 'c')
        and not c.relispartition and c.relname <> 'alembic_version'
      union all
      select 3, format('drop routine if exists %s cascade', p.oid::regprocedure)
      from pg_proc as p
      where p.oid = any (v_functions)
      union all
      select 4, format('drop type if exists audit.%I cascade', t.typname)
      from pg_type as t
      where t.oid = any (v_types) and t.typtype in ('d', 'e', 'r')
    ) as d (position, statement)
    order by d.position
  loop
    execute v_drop;
  end loop;

  execute v_look into v_left using v_relations, v_functions, v_types;
  select string_agg(o.name, E'\n' order by o.name) into v_lost
  from unnest(v_keys, v_described) as o (key, name)
  where o.key not in (select unnest(v_left));
  if v_lost is not null then
    raise exception using
      errcode = '2BP01', message = 'others built on what would be dropped', detail = v_lost;
  end if;
end;
$$;

revoke all on schema audit from public;
comment on schema audit is null;
