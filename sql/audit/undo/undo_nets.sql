-- Several changes of one row come to one. A row is followed through its keys: before another row
-- leaves a key and after another comes to it are different lives of that key.
create or replace function audit.undo_nets(changes audit.undo_change[])
  returns setof audit.undo_net
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_nestloop = off
as $$
  with recursive told as materialized (
    select row_number() over (order by c.place, c.old_key, c.new_key) as n, c.*
    from (
      select c.*,
        -- A row in several accounts is told once for each of them.
        lag(row(c.kind, c.old_key, c.new_key, c.old_values, c.new_values)) over (
          partition by c.target, coalesce(c.new_key, c.old_key) order by c.place)
        is not distinct from row(c.kind, c.old_key, c.new_key, c.old_values, c.new_values)
          as is_again
      from unnest(undo_nets.changes) as c
      where c.problem is null
    ) as c
    where not c.is_again
  ), touch as (
    select t.n, t.target, t.old_key as key, true as is_own,
      (t.new_key <> t.old_key)::int as leaves, 0 as comes
    from told as t
    where t.old_key is not null
    union all
    select t.n, t.target, t.new_key, t.old_key is null, 0, (t.old_key is not null)::int
    from told as t
    where t.new_key is not null and t.old_key is distinct from t.new_key
  ), life as materialized (
    select t.*, coalesce(sum(t.leaves) over (w rows between unbounded preceding and 1 preceding), 0)
      + sum(t.comes) over (w rows unbounded preceding) as number
    from touch as t
    window w as (partition by t.target, t.key order by t.n)
  ), link as materialized (
    select l.target, l.key, l.number, c.key as next_key, c.number as next_number
    from life as l
    join life as c on c.n = l.n and c.comes = 1
    where l.leaves = 1
  ), chain as (
    select k.target, k.key as first_key, k.number as first_number, k.next_key as key,
      k.next_number as number
    from link as k
    where not exists (select from link as p where p.target = k.target and p.next_key = k.key
                      and p.next_number = k.number)
    union all
    select c.target, c.first_key, c.first_number, k.next_key, k.next_number
    from chain as c
    join link as k on k.target = c.target and k.key = c.key and k.number = c.number
  ), member as materialized (
    select t.*, coalesce(c.first_key, l.key) as row_key,
      coalesce(c.first_number, l.number) as row_number
    from told as t
    join life as l on l.n = t.n and l.is_own
    left join chain as c on c.target = l.target and c.key = l.key and c.number = l.number
  ), net as materialized (
    select m.target, m.row_key, m.row_number, max(m.place) as place, count(*) as size,
      min(m.n) as first_n, max(m.n) as last_n
    from member as m
    group by 1, 2, 3
  ), value as materialized (
    select n.first_n, v.side,
      -- The first value before, the last one after.
      jsonb_object_agg(e.key, e.value order by case v.side when 'old' then -m.n else m.n end)
        as all_
    from net as n
    join member as m using (target, row_key, row_number)
    cross join lateral (values ('old', m.old_values), ('new', m.new_values), ('missing', m.missing))
      as v (side, vals)
    cross join lateral jsonb_each(v.vals) as e
    where n.size > 1
    group by 1, 2
  )
  select n.place, n.target, f.kind <> 'insert', l.kind <> 'delete', f.old_key, l.new_key,
    case when n.size = 1 then f.old_values else o.all_ end,
    case when n.size = 1 then f.new_values else w.all_ end,
    null::jsonb, coalesce(case when n.size = 1 then f.missing else i.all_ end, '{}'), '{}'::text[],
    null::text
  from net as n
  join told as f on f.n = n.first_n
  join told as l on l.n = n.last_n
  left join value as o on o.first_n = n.first_n and o.side = 'old'
  left join value as w on w.first_n = n.first_n and w.side = 'new'
  left join value as i on i.first_n = n.first_n and i.side = 'missing'
  where f.kind <> 'insert' or l.kind <> 'delete'
  union all
  select c.place, c.target, c.kind <> 'insert', c.kind <> 'delete', c.old_key, c.new_key,
    c.old_values, c.new_values, null, c.missing, '{}', c.problem
  from unnest(undo_nets.changes) as c
  where c.problem is not null
$$;

revoke all on function audit.undo_nets(audit.undo_change[]) from public;

comment on function audit.undo_nets(audit.undo_change[]) is
  'What became of each row of a table by these changes.';
