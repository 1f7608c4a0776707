-- The function that fetches what deleted rows look up does nothing but read, and so belongs as a whole
-- to whom may read all of it.
create or replace function audit.departed_reader(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when bool_or(l.reader = 'owner') and not bool_or(l.reader = 'audit_lookup')
    then 'owner' else 'audit_lookup' end
  from audit.lookups_of(t) as l
$$;

revoke all on function audit.departed_reader(audit.tracked) from public;

comment on function audit.departed_reader(audit.tracked) is
  'Whose rights the compiled function has that fetches what deleted rows look up.';
