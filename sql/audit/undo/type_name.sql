-- A type with its schema, without its modifier: what a column takes has it already.
create or replace function audit.type_name(type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when e.typarray = t.oid then format('%I.%I[]', en.nspname, e.typname)
    else format('%I.%I', n.nspname, t.typname) end
  from pg_type as t
  join pg_namespace as n on n.oid = t.typnamespace
  left join pg_type as e on e.oid = t.typelem
  left join pg_namespace as en on en.oid = e.typnamespace
  where t.oid = type_name.type
$$;

revoke all on function audit.type_name(oid) from public;

comment on function audit.type_name(oid) is 'The name of a type with its schema.';
