-- A name that is always quoted: PL/pgSQL has reserved words that SQL has not, such as begin and
-- end.
create or replace function audit.quoted(name text)
  returns text
  language sql
  immutable
  strict
  parallel safe
  set search_path = pg_catalog, pg_temp
as $$
  select '"' || replace(name, '"', '""') || '"'
$$;

revoke all on function audit.quoted(text) from public;

comment on function audit.quoted(text) is 'A name in double quotes, whatever it is.';
