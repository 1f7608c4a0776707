-- PostgreSQL cuts names at 63 bytes: two long actions must not become one variable.
create or replace function audit.short_name(name text)
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select case when octet_length(name) > 50 then md5(name) else name end
$$;

revoke all on function audit.short_name(text) from public;

comment on function audit.short_name(text) is 'A name, or its digest where it is long.';
