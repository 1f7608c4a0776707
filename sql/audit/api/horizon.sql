-- Where reading newest first begins: a query with this bound leaves the empty partitions ahead out
-- when it is planned, which would be most of what it locks. A partition of a month says by its name
-- that it is over; the others are asked for their size, which takes no lock that is kept.
create or replace function audit.horizon(not_before timestamptz)
  returns timestamptz
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
  select greatest(not_before, max(
    coalesce(substring(b.text from 'TO \(''([^'']+)''\)')::timestamptz, 'infinity')))
  from (
    select
      c.oid,
      c.relpartbound,
      case
        when c.relname ~ '^log_\d{4}_\d\d$'
          and c.relname < 'log_' || to_char(not_before, 'YYYY_MM') then false
        else pg_relation_size(c.oid) > 0
      end as is_wanted
    from pg_inherits as i
    join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'audit.log'::regclass
  ) as c
  cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as text) as b
  where c.is_wanted
$$;

comment on function audit.horizon(timestamptz) is
  'Public. A time that all rows of the log are before: the given one, or a later one where a clock '
  'was ahead. Bounds the first page, so that partitions ahead cost it nothing.';
