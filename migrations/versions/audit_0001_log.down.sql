-- Undoes audit_0001, but only while the log is empty: no migration throws away what was recorded.
-- Schema audit stays, since Alembic keeps its version table there.

-- From here on nobody can add a row between the count and the drop.
lock table audit.log in access exclusive mode;

do $$
declare
  v_rows  bigint;
  v_drops text[];
  v_drop  text;
begin
  -- Fail rather than count only the rows that row security would show.
  perform set_config('row_security', 'off', true);
  select count(*) into v_rows from audit.log;
  if v_rows > 0 then
    raise exception using
      errcode = 'UA008',
      message = format('the downgrade is refused: audit.log has rows (%s) to lose', v_rows),
      hint = 'Export the log first; then `drop schema audit cascade` removes it for good.';
  end if;

  -- Event triggers first, for they would act on what follows. The log takes its partitions along,
  -- a table its indexes, triggers and own sequences.
  select array_agg(d.statement order by d.position) into v_drops
  from (
    select 1, format('drop event trigger if exists %I', e.evtname)
    from pg_catalog.pg_event_trigger as e
    join pg_catalog.pg_proc as p on p.oid = e.evtfoid
    where p.pronamespace = 'audit'::regnamespace
    union all
    select case c.relkind when 'v' then 2 when 'S' then 4 else 3 end,
      format('drop %s if exists audit.%I cascade',
        case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, c.relname)
    from pg_catalog.pg_class as c
    where c.relnamespace = 'audit'::regnamespace
      and c.relkind in ('r', 'p', 'v', 'S')
      and not c.relispartition
      and c.relname <> 'alembic_version'
    union all
    select 5, format('drop routine if exists %s cascade', p.oid::regprocedure)
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'audit'::regnamespace
    union all
    select 6, format('drop type if exists audit.%I cascade', t.typname)
    from pg_catalog.pg_type as t
    left join pg_catalog.pg_class as c on c.oid = t.typrelid
    where t.typnamespace = 'audit'::regnamespace
      and t.typtype in ('c', 'd', 'e', 'r')
      and coalesce(c.relkind, 'c') = 'c'
  ) as d (position, statement);

  foreach v_drop in array v_drops
  loop
    execute v_drop;
  end loop;
end;
$$;

revoke all on schema audit from public;
comment on schema audit is null;
