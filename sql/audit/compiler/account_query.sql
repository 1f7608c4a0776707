-- The accounts of a row: a query in brackets where it reads tables of the log's owner alone, else a call
-- of the function that audit.account_function() makes.
create or replace function audit.account_query(t audit.tracked, names jsonb)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when t.account_reader = 'inline'
    then format(E'(\n    %s\n  )', audit.rewrite_expression(t.accounts, q.names))
    -- One that reads strangers' tables.
    else format('audit.%I(%s)', t.slug || '_accounts', (
      select coalesce(string_agg(q.names ->> n.name, ', ' order by n.name), '')
      from audit.names_in(t.accounts) as n (name)
      where q.names ? n.name)) end
  from (
    select jsonb_object_agg('new.' || e.key, e.value) as names from jsonb_each_text(names) as e
  ) as q
$$;

revoke all on function audit.account_query(audit.tracked, jsonb) from public;

comment on function audit.account_query(audit.tracked, jsonb) is
  'SQL, after FROM, for the accounts of a row.';
