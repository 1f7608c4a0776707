-- Before an import: exports wait until audit.begin_era() says that its rows are complete.
create or replace function audit.open_import()
  returns integer
  language sql
  set search_path = pg_catalog, pg_temp
as $$
  insert into audit.era (number, log, server, kind, is_open)
  select e.number + 1, e.log, (select s.system_identifier from pg_control_system() as s),
    'imported', true
  from audit.era as e
  where e.number = (select max(m.number) from audit.era as m) and not e.is_open
  returning number
$$;

revoke all on function audit.open_import() from public;

comment on function audit.open_import() is
  'Begins an import of rows with transaction ids of another server; null where one was begun.';
