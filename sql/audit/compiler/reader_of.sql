-- How a compiled function reads another table. Planning a query on somebody's table runs that one's
-- code (index expressions, checks of inheritance children), so it is done by a function of
-- audit_lookup; but in place where the table is the log owner's or a superuser's, and its keys are
-- of types of PostgreSQL's own. Where such a table has row security, a function of the log's owner
-- sees past it.
create or replace function audit.reader_of(relation regclass, key_types oid[])
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when not audit.is_trusted(c.relowner) or c.relkind not in ('r', 'p')
      or exists (select from unnest(key_types) as k where not audit.is_builtin(k))
    then 'audit_lookup'
    when c.relrowsecurity then 'owner'
    else 'inline' end
  from pg_class as c
  where c.oid = relation
$$;

revoke all on function audit.reader_of(regclass, oid[]) from public;

comment on function audit.reader_of(regclass, oid[]) is
  'Who reads a looked-up table: inline, a function of the log''s owner (owner), or one of '
  'audit_lookup.';
