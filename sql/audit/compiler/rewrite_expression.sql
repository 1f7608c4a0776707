-- Declared expressions name columns; this puts in what a name stands for in the compiled code.
create or replace function audit.rewrite_expression(expression text, names jsonb)
  returns text
  language sql
  immutable
  strict
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(coalesce(names ->> t.name, t.token), '' order by t.number), '')
  from audit.tokens_of(rewrite_expression.expression) as t
$$;

revoke all on function audit.rewrite_expression(text, jsonb) from public;

comment on function audit.rewrite_expression(text, jsonb) is
  'Replaces names of columns in an SQL expression; strings and names of functions stay.';
