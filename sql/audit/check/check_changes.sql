-- Whether rows of the log were changed: PostgreSQL counts what is updated and deleted, also of rows
-- of a partition that was detached meanwhile. And what lets rows be changed or left out on their way.
create or replace function audit.check_changes()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with relation as (
    select c.oid, c.relkind, c.relpersistence, audit.name_of(c.oid) as name
    from pg_partition_tree('audit.log') as p
    join pg_class as c on c.oid = p.relid
  ), counted as (
    select r.name, r.oid, pg_stat_get_tuples_updated(r.oid) as updated,
      pg_stat_get_tuples_deleted(r.oid) as deleted,
      -- What audit.undo_import() takes out is meant to go.
      sum(pg_stat_get_tuples_deleted(r.oid)) over () > (
        select coalesce(sum((e.imported ->> 'new_rows')::bigint), 0)
        from audit.era as e where e.kind = 'undone') as are_too_many
    from relation as r
  )
  select 'rows_changed', 'error', n.name,
    format('Rows of it were changed (%s) or deleted (%s), or somebody tried, since PostgreSQL '
      'counts. Compare it with an export (auditdb verify), then begin to count anew.',
      n.updated, n.deleted),
    format('select pg_stat_reset_single_table_counters(%L::regclass);', n.name)
  from counted as n
  where n.updated > 0 or n.deleted > 0 and n.are_too_many
  union all
  select 'log_unlogged', 'error', r.name,
    'The table is unlogged: after a crash of the server all of its rows are gone.',
    format('alter table %s set logged;', r.name)
  from relation as r
  where r.relkind = 'r' and r.relpersistence <> 'p'
  union all
  select 'rule_extra', 'error', format('%I on %s', w.rulename, r.name),
    'The rule does something else with rows that are written to the log, or nothing.',
    format('drop rule %I on %s;', w.rulename, r.name)
  from relation as r
  join pg_rewrite as w on w.ev_class = r.oid
  union all
  select 'trigger_extra', 'error', format('%I on %s', g.tgname, r.name),
    format('The trigger is not one of the log: %s may change rows, or leave them out.',
      g.tgfoid::regprocedure),
    format('drop trigger %I on %s;', g.tgname, r.name)
  from relation as r
  join pg_trigger as g on g.tgrelid = r.oid
  where not g.tgisinternal and g.tgparentid = 0
    and not (g.tgname in ('refuse_change', 'refuse_truncate')
      and g.tgfoid = 'audit.refuse_change()'::regprocedure)
    and not (g.tgname = 'reopen_partition'
      and g.tgfoid = 'audit.reopen_partition()'::regprocedure)
$$;

revoke all on function audit.check_changes() from public;

comment on function audit.check_changes() is
  'Findings: rows of the log that were changed, and what could change them.';
