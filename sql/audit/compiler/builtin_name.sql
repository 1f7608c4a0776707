-- A type of PostgreSQL's own as compiled text names it: with its schema, whatever is called so
-- elsewhere.
create or replace function audit.builtin_name(type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('pg_catalog.%I', p.typname) from pg_type as p where p.oid = builtin_name.type
$$;

revoke all on function audit.builtin_name(oid) from public;

comment on function audit.builtin_name(oid) is 'The name of a type of PostgreSQL''s own, with its schema.';
