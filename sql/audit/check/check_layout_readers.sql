-- What reads records is made of audit.layout alone, so it can be made again to compare: that takes
-- milliseconds for each layout, so that audit.refresh() leaves it to checks.
create or replace function audit.check_layout_readers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  -- Each made once, whatever the planner thinks of how many there are.
  with made as materialized (
    select format('layout_%s_values', y.id) as name, audit.layout_reader(y) as ddl
    from audit.layout as y
    union all
    select format('layout_%s_text', y.id), audit.layout_printer(y) from audit.layout as y
    union all
    select 'record_' || k, audit.layout_dispatcher(k) from unnest(array['values', 'text']) as k
  )
  select 'layout_changed', 'error', format('audit.%I', m.name),
    'The function that reads whole rows is not as it was compiled: it may show what was not there.',
    'drop function ' || f.oid::regprocedure || '; select audit.derive_layouts();'
  from made as m
  join pg_proc as f on f.pronamespace = 'audit'::regnamespace and f.proname = m.name
  where strpos(m.ddl, quote_literal(f.prosrc)) = 0
    or exists (select from audit.layout) and (f.prosecdef or f.provolatile <> 'i'
      or f.proconfig[1] is distinct from 'search_path=pg_catalog, pg_temp')
$$;

revoke all on function audit.check_layout_readers() from public;

comment on function audit.check_layout_readers() is
  'Findings: functions that read records of the log, and are not as they were compiled.';
