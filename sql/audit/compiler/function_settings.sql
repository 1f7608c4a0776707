-- With whose rights a compiled trigger function runs, and under which settings.
create or replace function audit.function_settings(
  t audit.tracked, event text, body text, uses_lookups boolean, settings text[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  select E'\n  security definer\n  set search_path = pg_catalog, pg_temp'
    -- A lookup is one index probe for each row, also in a plan made when its table was empty.
    -- Compiling such a plan to machine code would cost more than it does.
    || case when uses_lookups then E'\n  set enable_seqscan = off\n  set jit = off' else '' end
    -- Row security lets audit_writer add rows to the log, and hides none from the owner of the log.
    || case when event = 'cascade' and exists (
        select from audit.lookups_of(t) as l where audit.is_filtered(l.target)) then ''
      when event <> 'cascade' and audit.role_for('audit_writer') <> audit.role_for('owner')
        then E'\n  set row_security = on'
      when uses_lookups then E'\n  set row_security = off' else '' end
    || coalesce((select string_agg(E'\n  set ' || s, '' order by s) from unnest(settings) as s), '')
    || case when body ~ '\\' then E'\n  set standard_conforming_strings = on' else '' end
$$;

revoke all on function audit.function_settings(audit.tracked, text, text, boolean, text[]) from public;

comment on function audit.function_settings(audit.tracked, text, text, boolean, text[]) is
  'The clauses of a compiled trigger function that say whose rights and which settings it has.';
