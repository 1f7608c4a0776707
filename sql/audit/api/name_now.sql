-- What a column is called now. The paths of parts are told apart by their slashes.
create or replace function audit.name_now(renamed jsonb, name text)
  returns text
  language sql
  immutable
  cost 1
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    renamed ->> name,
    substring(name from '^[^/]*/[^/]*/')
      || (renamed ->> substring(name from '^[^/]*/[^/]*/(.*)$')),
    name)
$$;

-- Whoever was granted a view of the log must be able to read it.
grant execute on function audit.name_now(jsonb, text) to public;

comment on function audit.name_now(jsonb, text) is
  'Public. What a column, or the path of a part''s column, is called now, by what its layout has as '
  'renamed.';
