-- Which columns a declared expression needs: asked when triggers are compiled and compared.
create or replace function audit.names_in(expression text)
  returns setof text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select distinct t.name
  from audit.tokens_of(names_in.expression) as t
  where t.name is not null
$$;

revoke all on function audit.names_in(text) from public;

comment on function audit.names_in(text) is
  'The names in an SQL expression that are neither strings nor functions.';
