-- Whether row security could hide rows of a table; then track() has asked for the policy that shows
-- them to audit_lookup.
create or replace function audit.is_filtered(relation regclass)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select c.relrowsecurity and not audit.is_trusted(c.relowner)
  from pg_class as c
  where c.oid = relation
$$;

revoke all on function audit.is_filtered(regclass) from public;

comment on function audit.is_filtered(regclass) is
  'Whether audit_lookup reads a table under row security.';
