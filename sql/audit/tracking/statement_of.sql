-- What a function executes is not in current_query(), but in what the function was called by.
create or replace function audit.statement_of(stack text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when starts_with(f.rest, 'SQL statement "')
    then split_part(substr(f.rest, 16), E'"\nPL/pgSQL function ', 1)
    else coalesce(current_query(), '') end
  from (select substr(stack, strpos(stack || E'\n', E'\n') + 1) as rest) as f
$$;

revoke all on function audit.statement_of(text) from public;

comment on function audit.statement_of(text) is
  'The text of the statement that an event trigger is called for, by the context of that trigger.';
