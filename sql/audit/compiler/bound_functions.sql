-- The functions that keep what the names in the expressions of a declaration mean.
create or replace function audit.bound_functions(t audit.tracked)
  returns table (name text, ddl text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select distinct f.name, f.ddl
  from audit.expressions_of(t) as e
  cross join lateral audit.bound_function(t, e.expression, e.result) as f
  where audit.is_bound(e.expression)
$$;

revoke all on function audit.bound_functions(audit.tracked) from public;

comment on function audit.bound_functions(audit.tracked) is
  'The functions that the expressions of a declaration are bound to.';
