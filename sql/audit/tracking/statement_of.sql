-- What a function executes is not in current_query(), but in the context of the trigger: the
-- statement itself, or the name of the function in SQL whose body it is in.
create or replace function audit.statement_of(stack text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(case
    when starts_with(f.rest, 'SQL statement "')
    then split_part(substr(f.rest, 16), E'"\nPL/pgSQL function ', 1)
    when starts_with(f.rest, 'SQL function "')
    then (
      select string_agg(p.prosrc, ';')
      from pg_proc as p
      join pg_language as l on l.oid = p.prolang and l.lanname = 'sql'
      where p.proname = substring(f.rest from '^SQL function "([^\n]*)" statement \d+'))
    -- The server may speak another language.
    else concat_ws(E'\n', f.rest, current_query()) end, '')
  from (select substr(stack, strpos(stack || E'\n', E'\n') + 1) as rest) as f
$$;

revoke all on function audit.statement_of(text) from public;

comment on function audit.statement_of(text) is
  'The text of the statement that an event trigger is called for, by the context of that trigger.';
