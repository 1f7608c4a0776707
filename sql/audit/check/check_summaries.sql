-- Whether what is known of closed partitions fits them: readers leave out those that are said to have
-- no row of an item. Counting every row would take too long, so the number of them is held to what
-- PostgreSQL counted when it froze the partition.
create or replace function audit.check_summaries()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive account (id) as (
    -- From one account to the next by the index: each has a row for every partition, its items many.
    select min(p.account_id) from audit.presence as p
    union all
    select (select min(p.account_id) from audit.presence as p where p.account_id > a.id)
    from account as a where a.id is not null
  ), summed as (
    select p.partition, sum(p.rows) as rows
    from account as a
    join audit.presence as p on p.account_id = a.id and p.item_type = '' and p.item_id = ''
    group by p.partition
  ), closed as (
    select s.partition, s.lower_bound, s.upper_bound, c.oid, l.partition is not null as is_there,
      s.lower_bound = l.lower_bound and s.upper_bound = l.upper_bound as is_same,
      c.reltuples, pg_relation_size(c.oid) as size,
      coalesce(m.rows, 0) as rows,
      exists (select from pg_trigger as g
        where g.tgrelid = c.oid and g.tgname = 'reopen_partition' and g.tgenabled = 'A'
          and g.tgfoid = 'audit.reopen_partition()'::regprocedure) as is_watched
    from audit.closed_partition as s
    left join audit.partition_list() as l on l.partition = s.partition
    left join summed as m on m.partition = s.partition
    left join pg_class as c on c.oid = to_regclass(format('audit.%I', s.partition))
  )
  select 'summary_wrong', 'error', format('audit.%I', c.partition),
    case when not c.is_same then 'It is on the list of closed partitions with other bounds.'
      when c.upper_bound > now() - interval '7 days'
        then 'It is on the list of closed partitions, and its time is not over.'
      when not c.is_watched then 'It is on the list of closed partitions, but the trigger is gone '
        'that takes it off when a row comes.'
      else format('It has %s rows or so, and its summary tells of %s: readers do not find them.',
        greatest(c.reltuples, 0), c.rows) end,
    format('delete from audit.closed_partition where partition = %L; -- then: auditdb maintain',
      c.partition)
  from closed as c
  -- Of a partition that was detached the list is cleared with the next that is closed.
  where c.is_there
    and (not c.is_same or c.upper_bound > now() - interval '7 days' or not c.is_watched
      or c.rows = 0 and c.size > 0 and c.reltuples <> 0
      or c.rows > 0 and c.size = 0
      or c.reltuples > 1000 and c.rows not between c.reltuples * 0.9 and c.reltuples * 1.1)
$$;

revoke all on function audit.check_summaries() from public;

comment on function audit.check_summaries() is
  'Findings: closed partitions that are not what is known of them.';
