-- How a table is named in the log: with its schema, whatever the search_path.
create or replace function audit.name_of(relation regclass)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('%I.%I', n.nspname, c.relname)
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = relation
$$;

revoke all on function audit.name_of(regclass) from public;

comment on function audit.name_of(regclass) is 'The schema-qualified name of a table.';
