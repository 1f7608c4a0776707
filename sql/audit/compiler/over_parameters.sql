-- An expression as the body of a function over what it needs: the names that it uses, in an order
-- that its callers keep, their types, and itself with the number of a parameter in place of each.
create or replace function audit.over_parameters(
  t audit.tracked, expression text, pattern text,
  out arguments text[], out types text[], out body text
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_types jsonb := audit.name_types(t);
  v_places jsonb;
begin
  select coalesce(array_agg(n.name order by n.name), '{}'),
      coalesce(array_agg(v_types ->> n.name order by n.name), '{}')
    into arguments, types
    from audit.names_in(expression) as n (name)
    where v_types ? n.name and n.name ~ pattern;
  select coalesce(jsonb_object_agg(a.name, format('($%s)', a.place)), '{}') into v_places
    from unnest(arguments) with ordinality as a (name, place);
  body := audit.rewrite_expression(expression, v_places);
end;
$$;

revoke all on function audit.over_parameters(audit.tracked, text, text) from public;

comment on function audit.over_parameters(audit.tracked, text, text) is
  'An expression over numbered parameters: which of the names that fit a pattern they stand for, their '
  'types, and the text.';
