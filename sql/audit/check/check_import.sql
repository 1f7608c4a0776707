-- Whether an import is under way, or was left: exports are refused until it is whole or undone.
create or replace function audit.check_import()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with open as (
    select e.number, e.began_at, e.imported, exists (
        select from pg_locks as l
        join pg_stat_activity as a on a.pid = l.pid
        where l.relation = 'audit.era'::regclass and l.mode = 'ShareUpdateExclusiveLock'
          and l.granted and a.backend_type <> 'autovacuum worker'
          and l.database = (select d.oid from pg_database as d where d.datname = current_database())
      ) as is_running
    from audit.era as e
    where e.is_open
  )
  select 'import_open', case when o.is_running then 'warning' else 'error' end, 'audit.log',
    case when o.is_running
      then format('An import is under way since %s: exports wait for it.', o.began_at)
      else format('An import that began at %s was broken off, with %s rows of %s: exports are '
        'refused. The same import can be run again; its sha256 is %s.', o.began_at,
        o.imported ->> 'new_rows', o.imported ->> 'rows', o.imported ->> 'sha256') end,
    case when o.is_running then '-- Wait for it to end.'
      else format('select audit.undo_import(%s);', o.number) end
  from open as o
$$;

revoke all on function audit.check_import() from public;

comment on function audit.check_import() is
  'Findings: an import that is not complete.';
