-- Whether what is kept as compiled from a declaration is what it compiles to: whoever owns the log
-- could change both a function and what audit.tracked keeps of it. Compiling every table takes a
-- while, so audit.check() leaves it out, and auditdb check --thorough asks.
create or replace function audit.check_compiled()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
  set jit = off
as $$
  select 'compiled_forged', 'error', audit.name_of(k.target),
    'What audit.tracked keeps as compiled for the table is not what its declaration compiles to.',
    format('update audit.tracked set inputs = '''' where target = %1$L::regclass; '
      'select audit.refresh(%1$L);', audit.name_of(k.target))
  from audit.tracked as k
  -- Of tables that have changed since, audit.check_tables() tells.
  where k.inputs = audit.inputs_of(k)
    and to_jsonb(audit.compile_table(k)) is distinct from k.compiled
$$;

revoke all on function audit.check_compiled() from public;

comment on function audit.check_compiled() is
  'Findings: tables whose functions are not what their declarations compile to.';
