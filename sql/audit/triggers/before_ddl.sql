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
  v_query text;
  v_stack text;
  v_target regclass;
begin
  get diagnostics v_stack = pg_context;
  if v_stack ~ 'function audit\.(install_compiled|remove_declaration)\(' then
    return;
  end if;
  v_query := audit.ddl_text(v_stack);
  if v_query !~ '\m(type|drop)\M' then
    return;
  end if;
  -- The command's target is not known yet: every tracked table that the text names is widened,
  -- which changes nothing but the cost of its next updates, until after_ddl() narrows it again.
  for v_target in select audit.tables_named(v_query) loop
    perform audit.widen(v_target);
  end loop;
end;
$$;

revoke all on function audit.before_ddl() from public;

comment on function audit.before_ddl() is
  'Event trigger: makes way for ALTER TABLE on the columns of tracked tables.';
