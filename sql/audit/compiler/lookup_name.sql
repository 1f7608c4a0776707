-- The functions that read looked-up rows are numbered: an alias may be anything.
create or replace function audit.lookup_name(t audit.tracked, alias text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('%s_lookup_%s', t.slug, count(*))
  from jsonb_object_keys(t.lookups) as k
  where k <= lookup_name.alias
$$;

revoke all on function audit.lookup_name(audit.tracked, text) from public;

comment on function audit.lookup_name(audit.tracked, text) is
  'The name of the compiled function that reads a looked-up row.';
