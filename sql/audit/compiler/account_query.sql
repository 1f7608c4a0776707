-- The accounts of a row: a query in brackets where it reads tables of the log's owner alone, else a
-- call of the function that is among audit.reader_functions().
create or replace function audit.account_query(t audit.tracked, names jsonb)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when t.account_reader = 'inline'
    then format(E'(\n    %s\n  )', audit.rewrite_expression(t.accounts, q.names))
    else format('audit.%I(%s)', t.slug || '_accounts', (
      select string_agg(q.names ->> a.name, ', ' order by a.place)
      from audit.over_parameters(t, t.accounts, '^new\.') as o
      cross join unnest(o.arguments) with ordinality as a (name, place))) end
  from (
    select jsonb_object_agg('new.' || e.key, e.value) as names from jsonb_each_text(names) as e
  ) as q
$$;

revoke all on function audit.account_query(audit.tracked, jsonb) from public;

comment on function audit.account_query(audit.tracked, jsonb) is
  'SQL, after FROM, for the accounts of a row.';
