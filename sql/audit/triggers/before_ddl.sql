-- ALTER TABLE on an audited column would be refused because the trigger lists it: widen it first.
create or replace function audit.before_ddl()
  returns event_trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set jit = off
  set standard_conforming_strings = on
  set quote_all_identifiers = off
as $$
declare
  v_stack text;
  v_statement text;
  v_target regclass;
begin
  get diagnostics v_stack = pg_context;
  v_statement := audit.statement_of(v_stack);
  if v_statement !~* '\m(type|drop)\M' then
    return;
  end if;
  -- It changes nothing but the cost of the next updates, until after_ddl() narrows it again.
  for v_target in select audit.tables_altered(v_statement) loop
    perform audit.widen(v_target);
  end loop;
end;
$$;

revoke all on function audit.before_ddl() from public;

comment on function audit.before_ddl() is
  'Event trigger: makes way for ALTER TABLE on the columns of tracked tables.';
