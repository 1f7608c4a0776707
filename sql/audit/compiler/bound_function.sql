-- An expression that uses functions of the log's owner, as a function over what it needs: with a body
-- that is parsed once, so that what its names mean cannot change.
create or replace function audit.bound_function(
  t audit.tracked, expression text, result text, out name text, out ddl text, out arguments text[]
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_types jsonb := audit.name_types(t);
  v_places jsonb;
begin
  select array_agg(n.name order by n.name) into arguments
    from audit.names_in(expression) as n (name)
    where v_types ? n.name;
  arguments := coalesce(arguments, '{}');
  select coalesce(jsonb_object_agg(a.name, format('($%s)', a.place)), '{}') into v_places
    from unnest(arguments) with ordinality as a (name, place);
  ddl := format(E'(%s)\n  returns pg_catalog.%s\n  language sql\n  stable\n  return (%s)%s',
    (select coalesce(string_agg(v_types ->> a.name, ', ' order by a.place), '')
     from unnest(arguments) with ordinality as a (name, place)),
    result, audit.rewrite_expression(expression, v_places),
    case when result = 'text' then '::pg_catalog.text' else '' end);
  name := t.slug || '_x' || left(md5(ddl), 8);
  ddl := format('create or replace function audit.%I', name) || ddl;
end;
$$;

revoke all on function audit.bound_function(audit.tracked, text, text) from public;

comment on function audit.bound_function(audit.tracked, text, text) is
  'Name, DDL and arguments of the function that keeps what the names in an expression mean.';
