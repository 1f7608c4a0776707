-- Which compiler this is: another version may compile the same declaration to something else.
create or replace function audit.compiler_digest()
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select md5(string_agg(f.proname || f.prosrc, ''
    order by f.proname collate "C", f.prosrc collate "C"))
  from pg_proc as f
  where f.pronamespace = 'audit'::regnamespace
    -- But for what was compiled: what one table was given leaves the others as they are.
    and f.prorettype <> 'trigger'::regtype
    and f.proname !~ '^(layout_[0-9]+|record)_'
    and coalesce(obj_description(f.oid, 'pg_proc'), '') !~ '^Compiled by audit\.track\(\)'
$$;

revoke all on function audit.compiler_digest() from public;

comment on function audit.compiler_digest() is 'Digest of the functions that compile.';
