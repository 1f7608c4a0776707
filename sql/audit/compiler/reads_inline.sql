-- Whether a compiled function plans queries on other tables itself.
create or replace function audit.reads_inline(t audit.tracked, event text)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (select from audit.lookups_of(t) as l where l.reader = 'inline')
    or coalesce(t.account_reader = 'inline', false)
    or (event = 'delete'
      and exists (select from audit.cascades_of(t) as c where c.reader = 'inline'))
$$;

revoke all on function audit.reads_inline(audit.tracked, text) from public;

comment on function audit.reads_inline(audit.tracked, text) is
  'Whether the compiled function of an event reads other tables itself.';
