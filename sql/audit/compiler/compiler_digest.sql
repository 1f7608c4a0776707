-- Which compiler this is: another version may compile the same declaration to something else.
create or replace function audit.compiler_digest()
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  return md5(string_agg(f.proname || f.prosrc, ''
      order by f.proname collate "C", f.prosrc collate "C"))
    from pg_proc as f
    where f.proname = any (audit.compiler_functions())
      and f.pronamespace = 'audit'::regnamespace;
end;
$$;

revoke all on function audit.compiler_digest() from public;

comment on function audit.compiler_digest() is 'Digest of the functions that compile.';
