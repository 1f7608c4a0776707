-- Who is in the way: those who write or change these tables, and where there are none, who reads.
create or replace function audit.holders_of(relations regclass[])
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with wanted as (
    select r.relid from unnest(holders_of.relations) as r (relid)
    union
    select t.relid
    from unnest(holders_of.relations) as r (relid)
    cross join lateral pg_partition_tree(r.relid) as t
  ), held as (
    select l.relation, l.pid, l.virtualtransaction, l.mode = 'AccessShareLock' as is_reading
    from pg_locks as l
    where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())
      and l.relation in (select w.relid from wanted as w)
  ), holding as (
    select distinct on (h.pid, h.virtualtransaction) h.*
    from held as h
    where not h.is_reading or not exists (select from held as w where not w.is_reading)
    order by h.pid, h.virtualtransaction, h.relation
  )
  select coalesce(string_agg(
      case when h.pid is null then format('prepared transaction %L of role %s', p.gid, p.owner)
        else concat_ws(', ', format('process %s of role %s', h.pid, coalesce(a.usename, '?')),
          'application ' || quote_literal(nullif(a.application_name, '')), a.state) end
      || coalesce(', since ' || to_char(coalesce(a.xact_start, p.prepared),
        'YYYY-MM-DD HH24:MI:SSOF'), '')
      || format(', holds %s', h.relation::regclass), '; ' order by h.pid),
    'who held it has let go of it since')
  from holding as h
  left join pg_stat_activity as a on a.pid = h.pid
  -- A prepared transaction is known by the lock on its own number.
  left join pg_locks as x
    on h.pid is null and x.pid is null and x.locktype = 'transactionid'
    and x.virtualtransaction = h.virtualtransaction
  left join pg_prepared_xacts as p on p.transaction = x.transactionid
$$;

revoke all on function audit.holders_of(regclass[]) from public;

comment on function audit.holders_of(regclass[]) is
  'The sessions that hold locks on tables and their partitions, each with its role, its application '
  'and since when.';
