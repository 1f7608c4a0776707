-- The frame of every compiled function.
create or replace function audit.compile_function(
  t audit.tracked, event text, variables text[], body text, uses_lookups boolean,
  settings text[], volatility text default 'volatile'
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  select format(
'create or replace function audit.%I()
  returns trigger
  language plpgsql
  %s
  security definer
  set search_path = pg_catalog, pg_temp%s
as %L',
    t.slug || '_' || event, volatility,
    -- A lookup is one index probe for each row, also in a plan made when its table was empty.
    -- Compiling such a plan to machine code would cost more than it does.
    case when uses_lookups then E'\n  set enable_seqscan = off\n  set jit = off' else '' end
    -- Row security lets audit_writer add rows to the log, and hides none from the owner of the log.
    || case when event = 'cascade' and exists (
        select from audit.lookups_of(t) as l where audit.is_filtered(l.target)) then ''
      when event <> 'cascade' and audit.role_for('audit_writer') <> audit.role_for('owner')
        then E'\n  set row_security = on'
      when uses_lookups then E'\n  set row_security = off' else '' end
    || coalesce((select string_agg(E'\n  set ' || s, '' order by s) from unnest(settings) as s), '')
    || case when body ~ '\\' then E'\n  set standard_conforming_strings = on' else '' end,
    format(
'
-- Compiled from the declaration of %s (audit.tracked); audit.refresh() compiles it anew.
#variable_conflict use_column
<<_audit>>
declare
  v_current constant boolean := audit.is_current(%s, %L, %s);
%sbegin
%s  return null;
end;
',
      translate(t.target::text, E'\n\r', '  '), t.id, audit.fingerprint(t),
      (select string_agg(format('%L::regclass', r::oid::text), ', ' order by n)
       from unnest(t.tables) with ordinality as u (r, n)),
      (select coalesce(string_agg('  ' || v || E';\n', '' order by n), '')
       from unnest(variables) with ordinality as u (v, n)),
      body))
$$;

revoke all on function
  audit.compile_function(audit.tracked, text, text[], text, boolean, text[], text) from public;

comment on function
  audit.compile_function(audit.tracked, text, text[], text, boolean, text[], text) is
  'DDL of a compiled trigger function around its body.';
