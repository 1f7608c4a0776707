-- A type with its schema, without its modifier: what a column takes has it already.
create or replace function audit.type_name(type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  -- Behind a schema no word is reserved.
  select case when n.nspname = 'pg_catalog' and e.typname ~ '^[a-z_][a-z0-9_]*$'
      then 'pg_catalog.' || e.typname
      else format('%I.%I', n.nspname, e.typname) end
    || case when e.oid <> t.oid then '[]' else '' end
  from pg_type as t
  join pg_type as e on e.oid = coalesce(
    (select i.oid from pg_type as i where i.typarray = t.oid), t.oid)
  join pg_namespace as n on n.oid = e.typnamespace
  where t.oid = type_name.type
$$;

revoke all on function audit.type_name(oid) from public;

comment on function audit.type_name(oid) is 'The name of a type with its schema.';
