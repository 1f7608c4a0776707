-- The functions that read other tables for the trigger functions of a table, where those may not do
-- it themselves: looked-up rows, parents of a cascade, accounts.
create or replace function audit.reader_functions(t audit.tracked)
  returns table (name text, ddl text, reader text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select f.name, audit.reader_function(f.name, f.parameters, 'table (' || c.types || ')',
    audit.lookup_query(l.target, c.list, l.key_column, l.key_operator, '$1', l.key_type),
    audit.is_filtered(l.target)), l.reader
  from audit.lookups_of(t) as l
  cross join lateral audit.lookup_columns(l.target, l.columns, l.key_column) as c
  cross join lateral (
    select audit.lookup_name(t, l.alias) as name,
      array[audit.builtin_name(audit.presented_type(l.key_type))] as parameters
  ) as f
  where l.reader <> 'inline'
  union all
  select c.name, audit.reader_function(c.name, f.parameters, 'pg_catalog.bool',
    audit.parent_query(c.target, c.parent_columns, c.operators, f.vals, c.types),
    audit.is_filtered(c.target)), c.reader
  from audit.cascades_of(t) as c
  cross join lateral (
    select
      array_agg(audit.builtin_name(audit.presented_type(u.type)) order by u.n) as parameters,
      array_agg('$' || u.n order by u.n) as vals
    from unnest(c.types) with ordinality as u (type, n)
  ) as f
  where c.reader <> 'inline' and exists (select from audit.rules_of(t, 'delete'))
  union all
  select t.slug || '_accounts', audit.reader_function(t.slug || '_accounts', o.types,
    'setof pg_catalog.text',
    format('select _audit_a.id::pg_catalog.text from (%s) as _audit_a (id)', o.body),
    exists (select from unnest(t.account_tables) as r where audit.is_filtered(r))), t.account_reader
  from audit.over_parameters(t, t.accounts, '^new\.') as o
  where t.account_reader <> 'inline'
$$;

revoke all on function audit.reader_functions(audit.tracked) from public;

comment on function audit.reader_functions(audit.tracked) is
  'The compiled functions that read tables for the triggers of a table, and whose rights they need.';
