-- One trigger and its function, added to what a table compiles to.
create or replace function audit.add_trigger(
  compiled audit.compiled, t audit.tracked, event text, timing text, transition text,
  function_ddl text
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  if function_ddl is not null then
    compiled.functions := compiled.functions
      || jsonb_build_object(t.slug || '_' || event, function_ddl);
    compiled.triggers := compiled.triggers || jsonb_build_object('_audit_' || event,
      format('%s on %s %sfor each %s execute function audit.%I()', timing, t.target,
        coalesce('referencing ' || transition || ' ', ''),
        case when transition is null then 'row' else 'statement' end, t.slug || '_' || event));
  end if;
  return compiled;
end;
$$;

revoke all on function
  audit.add_trigger(audit.compiled, audit.tracked, text, text, text, text) from public;

comment on function audit.add_trigger(audit.compiled, audit.tracked, text, text, text, text) is
  'Adds a trigger and its function to a compilation; adds nothing where there is no function.';
