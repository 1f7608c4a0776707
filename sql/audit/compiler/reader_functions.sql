-- The functions that read other tables for the trigger functions of a table, where those may not do it
-- themselves: looked-up rows, parents of a cascade, accounts.
create or replace function audit.reader_functions(t audit.tracked)
  returns table (name text, ddl text, reader text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (
    select audit.name_types(t) as types where t.account_reader <> 'inline'
  )
  select f.name, audit.reader_function(f.name, f.parameters, 'table (' || c.types || ')',
    audit.lookup_query(l.target, c.list, l.key_column, l.key_operator, '$1', l.key_type),
    audit.is_filtered(l.target)), l.reader
  from audit.lookups_of(t) as l
  join pg_type as p on p.oid = audit.presented_type(l.key_type)
  cross join lateral audit.lookup_columns(l.target, l.columns, l.key_column) as c
  cross join lateral (
    select audit.lookup_name(t, l.alias) as name,
      array[format('pg_catalog.%I', p.typname)] as parameters
  ) as f
  where l.reader <> 'inline'
  union all
  select f.name, audit.reader_function(f.name, f.parameters, 'pg_catalog.bool',
    audit.parent_query(c.target, c.parent_columns, c.operators, f.vals, c.types),
    audit.is_filtered(c.target)), c.reader
  from audit.cascades_of(t) as c
  cross join lateral (
    select format('%s_parent_%s', t.slug, c.number) as name,
      array_agg(format('pg_catalog.%I', p.typname) order by u.n) as parameters,
      array_agg('$' || u.n order by u.n) as vals
    from unnest(c.types) with ordinality as u (type, n)
    join pg_type as p on p.oid = audit.presented_type(u.type)
  ) as f
  where c.reader <> 'inline' and exists (select from audit.rules_of(t, 'delete'))
  union all
  select f.name, audit.reader_function(f.name, f.parameters, 'setof pg_catalog.text',
    format('select _audit_a.id::pg_catalog.text from (%s) as _audit_a (id)',
      audit.rewrite_expression(t.accounts, f.places)),
    exists (select from unnest(t.account_tables) as r where audit.is_filtered(r))), t.account_reader
  from (
    select t.slug || '_accounts' as name,
      coalesce(array_agg(q.types ->> n.name order by n.name), '{}') as parameters,
      coalesce(jsonb_object_agg(n.name, '$' || n.place), '{}') as places
    from known as q
    cross join lateral (
      select n.name, row_number() over (order by n.name) as place
      from audit.names_in(t.accounts) as n (name)
      where starts_with(n.name, 'new.') and q.types ? n.name
    ) as n
  ) as f
  where t.account_reader <> 'inline'
$$;

revoke all on function audit.reader_functions(audit.tracked) from public;

comment on function audit.reader_functions(audit.tracked) is
  'The compiled functions that read tables for the triggers of a table, and whose rights they need.';
