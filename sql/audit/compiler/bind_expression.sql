-- A declared expression over a row: in place, or as a call of the function that it was bound to.
create or replace function audit.bind_expression(
  t audit.tracked, expression text, names jsonb, result text
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when audit.is_bound(expression) then (
      select format('audit.%I(%s)', f.name, (
        select coalesce(string_agg(coalesce(names ->> a.name,
          format('%I.%I', split_part(a.name, '.', 1), split_part(a.name, '.', 2))),
          ', ' order by a.place), '')
        from unnest(f.arguments) with ordinality as a (name, place)))
      from audit.bound_function(t, expression, result) as f)
    else audit.rewrite_expression(expression, names) end
$$;

revoke all on function audit.bind_expression(audit.tracked, text, jsonb, text) from public;

comment on function audit.bind_expression(audit.tracked, text, jsonb, text) is
  'SQL for a declared expression, with what its names stand for.';
