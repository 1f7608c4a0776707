-- A value as statements have it: its text and its type, whatever the settings and the search path.
create or replace function audit.undo_literal(value text, type text)
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select case when undo_literal.value is null then 'null'
    else quote_literal(undo_literal.value) || '::' || undo_literal.type end
$$;

revoke all on function audit.undo_literal(text, text) from public;

comment on function audit.undo_literal(text, text) is 'SQL for a value of a type.';
