-- An expression that uses functions of the log's owner, as a function over what it needs: with a
-- body that is parsed once, so that what its names mean cannot change.
create or replace function audit.bound_function(
  t audit.tracked, expression text, result text, out name text, out ddl text, out arguments text[]
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_types text[];
  v_body text;
begin
  select o.arguments, o.types, o.body into arguments, v_types, v_body
    from audit.over_parameters(t, expression, '') as o;
  ddl := format(E'(%s)\n  returns pg_catalog.%s\n  language sql\n  stable\n  return (%s)%s',
    array_to_string(v_types, ', '), result, v_body,
    case when result = 'text' then '::pg_catalog.text' else '' end);
  name := t.slug || '_x' || left(md5(ddl), 8);
  ddl := format('create or replace function audit.%I', name) || ddl;
end;
$$;

revoke all on function audit.bound_function(audit.tracked, text, text) from public;

comment on function audit.bound_function(audit.tracked, text, text) is
  'Name, DDL and arguments of the function that keeps what the names in an expression mean.';
