-- A row goes with its parent only in a transaction that deletes from the parent's table. PostgreSQL
-- counts that for its statistics, where no writer can reach it, and asking for the number costs a
-- tenth of looking for the parent. The counts are those of heap tables, and of each partition by
-- itself; and a superuser may turn them off.
create or replace function audit.cascade_gate(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'%s > 0\n    or current_setting(''track_counts'') = ''off''', string_agg(
      format('pg_stat_get_xact_tuples_deleted(%L::regclass)',
        format('%I.%I', n.nspname, c.relname)), E'\n    + ' order by n.nspname, c.relname))
  from (select distinct k.target, k.reader from audit.cascades_of(t) as k) as k
  join pg_class as c on c.oid = k.target
  join pg_namespace as n on n.oid = c.relnamespace
  left join pg_am as a on a.oid = c.relam
  having bool_and(k.reader = 'inline' and c.relkind = 'r' and a.amname = 'heap'
    and k.target <> t.target)
$$;

revoke all on function audit.cascade_gate(audit.tracked) from public;

comment on function audit.cascade_gate(audit.tracked) is
  'SQL that is false where no row can have gone with its parent; null where that is not known.';
