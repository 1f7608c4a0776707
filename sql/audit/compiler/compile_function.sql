-- The frame of every compiled function. With parameters it is one that a trigger calls for a row:
-- audit.add_row_trigger() has the trigger's own, which pins the settings for both.
create or replace function audit.compile_function(
  t audit.tracked, event text, variables text[], body text, uses_lookups boolean,
  settings text[], volatility text default 'volatile', parameters text[] default '{}'
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(
'create or replace function audit.%I(%s)
  returns %s
  language plpgsql
  %s%s
as %L',
    t.slug || '_' || event || case when parameters = '{}' then '' else '_row' end,
    (select string_agg(p || ' record', ', ' order by n)
     from unnest(parameters) with ordinality as u (p, n)),
    case when parameters = '{}' then 'trigger' else 'boolean' end,
    volatility,
    case when parameters = '{}'
      then audit.function_settings(t, event, body, uses_lookups, settings) else '' end,
    format(
'
-- Compiled from the declaration of %s (audit.tracked); audit.refresh() compiles it anew.
#variable_conflict use_column
<<_audit>>
declare
%s%sbegin
%s  return null;
end;
',
      translate(t.target::text, E'\n\r', '  '), audit.guard_of(t),
      (select coalesce(string_agg('  ' || v || E';\n', '' order by n), '')
       from unnest(variables) with ordinality as u (v, n)),
      body))
$$;

revoke all on function
  audit.compile_function(audit.tracked, text, text[], text, boolean, text[], text, text[]) from public;

comment on function
  audit.compile_function(audit.tracked, text, text[], text, boolean, text[], text, text[]) is
  'DDL of a compiled function around its body.';
