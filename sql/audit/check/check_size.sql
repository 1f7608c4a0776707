-- How large the log is, how fast it grows, and how long its partitions last: information. The number
-- of rows is what PostgreSQL last counted, where it did.
create or replace function audit.check_size()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with partition as (
    select l.lower_bound, l.upper_bound, pg_relation_size(c.oid) > 0 as has_rows,
      pg_total_relation_size(c.oid) as bytes, c.reltuples
    from audit.partition_list() as l
    join pg_class as c on c.oid = to_regclass(format('audit.%I', l.partition))
  ), filled as (
    select p.*, extract(epoch from least(p.upper_bound, now()) - p.lower_bound) as seconds
    from partition as p
    where p.upper_bound > now() - interval '3 months' and p.lower_bound < now()
      and isfinite(p.lower_bound) and p.has_rows
  )
  select 'log_size', 'info', 'audit.log',
    case
      when c.unknown = 0 then format('The log takes %s, with %s rows or so in %s partitions.',
        c.size, coalesce(c.rows, 0), c.partitions)
      when c.known = 0 then format('The log takes %s in %s partitions. Its rows were never counted.',
        c.size, c.partitions)
      else format('The log takes %s in %s partitions. %s with rows have %s or so; those of %s more '
        'were never counted.', c.size, c.partitions, c.known, c.rows, c.unknown) end,
    case when c.unknown > 0 then 'analyze audit.log;' else '' end
  from (
    select pg_size_pretty(sum(p.bytes)) as size, count(*) as partitions,
      sum(p.reltuples) filter (where p.has_rows and p.reltuples >= 0)::bigint as rows,
      count(*) filter (where p.has_rows and p.reltuples < 0) as unknown,
      count(*) filter (where p.has_rows and p.reltuples >= 0) as known
    from partition as p
  ) as c
  union all
  select 'log_growth', 'info', 'audit.log',
    format('Of late it has grown by %s a month.',
      pg_size_pretty((sum(f.bytes) / greatest(sum(f.seconds), 86400) * 86400 * 30)::bigint)),
    ''
  from filled as f
  having count(*) > 0
  union all
  select 'months_ahead', 'info', 'audit.log',
    format('Partitions are made for %s months ahead.',
      greatest(0, extract(year from a.span) * 12 + extract(month from a.span))),
    ''
  -- After them come spare ones of a year.
  from (select age(min(p.lower_bound), now()) as span from partition as p
        where p.lower_bound > now() and p.upper_bound > audit.interval_after(p.lower_bound)) as a
  where a.span is not null
$$;

revoke all on function audit.check_size() from public;

comment on function audit.check_size() is 'Findings of information: size, growth, months ahead.';
