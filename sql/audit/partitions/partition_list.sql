-- The partitions of the log with their bounds as times, for maintenance and for checks.
create or replace function audit.partition_list()
  returns table (partition text, lower_bound timestamptz, upper_bound timestamptz)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
  select
    c.relname::text,
    coalesce(substring(b.text from 'FROM \(''([^'']+)''\)')::timestamptz, '-infinity'),
    coalesce(substring(b.text from 'TO \(''([^'']+)''\)')::timestamptz, 'infinity')
  from pg_inherits as i
  join pg_class as c on c.oid = i.inhrelid
  cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as text) as b
  where i.inhparent = 'audit.log'::regclass
  order by 2
$$;

revoke all on function audit.partition_list() from public;

comment on function audit.partition_list() is
  'The partitions of the log and the times from which and before which their rows are.';
