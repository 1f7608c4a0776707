-- Compiled functions are read by people: blocks are indented.
create or replace function audit.indent(code text, spaces integer)
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select regexp_replace(code, '^(?=.)', repeat(' ', spaces), 'gn')
$$;

revoke all on function audit.indent(text, integer) from public;

comment on function audit.indent(text, integer) is 'Indents the lines of compiled code.';
