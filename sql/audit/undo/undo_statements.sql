-- The statements that bring rows back to what they were: only the columns that were changed.
create or replace function audit.undo_statements(nets audit.undo_net[])
  returns table (
    place bigint, target oid, operation text, key text[], head text, tail text, conflicts text[],
    missing text[], problem text
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_nestloop = off
as $$
  with net as materialized (
    select row_number() over () as i, n.*,
      case when n.target is null then null
        when not n.was_there then 'delete'
        when n.stayed then 'update'
        else 'insert' end as operation,
      -- Where a deleted row is there again, only force goes on: it is brought to what it was.
      n.was_there and (n.stayed or n.present is not null) as is_update,
      case when n.stayed then n.new_key else n.old_key end as key
    from unnest(undo_statements.nets) as n
  ), col as materialized (
    select a.attrelid as target, a.attnum::text as number, a.attname::text as name,
      audit.quoted(a.attname) as ident, audit.type_name(a.atttypid) as type,
      a.attidentity, a.attnum as place, s.why
    from (select distinct n.target from net as n) as t
    join audit.tracked as k on k.target = t.target
    join pg_attribute as a on a.attrelid = t.target and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = ''
    cross join lateral (
      select case when a.attname = any (k.secret) then 'is secret'
        else 'is not in the log' end as why
    ) as s
  ), key as materialized (
    select t.target, k.*,
      -- The row that it refers to may have taken it back already.
      exists (select from pg_constraint as f where f.conrelid = d.target and f.contype = 'f'
              and f.confupdtype = 'c' and k.number = any (f.conkey)) as is_cascaded
    from (select distinct n.target from net as n) as d
    join audit.tracked as t on t.target = d.target
    cross join lateral audit.undo_key(t) as k
  ), found as materialized (
    select n.i, string_agg(case
        when k.is_cascaded and n.was_there and n.stayed and n.old_key[k.place] <> n.new_key[k.place]
          then format('(%1$s %2$s %3$L::%5$s or %1$s %2$s %4$L::%5$s)', k.ident, k.equals,
            n.new_key[k.place], n.old_key[k.place], k.type)
        else format('%s %s %L::%s', k.ident, k.equals, n.key[k.place], k.type) end,
      ' and ' order by k.place) as condition
    from net as n
    join key as k on k.target = n.target
    where n.problem is null
    group by 1
  ), item as materialized (
    select n.i, c.place, c.ident, 
        case when e.value is null then 'null' else quote_literal(e.value) || '::' || c.type end
          as literal
    from net as n
    cross join lateral jsonb_each_text(n.old_values) as e
    join col as c on c.target = n.target and c.number = e.key
    where n.problem is null and n.was_there and not n.missing ? e.key
      and (not n.is_update or c.attidentity <> 'a')
      and (not n.is_update or not n.stayed and n.present ->> e.key is distinct from e.value
        or n.stayed
          and (e.value is distinct from n.new_values ->> e.key or not n.new_values ? e.key))
  ), list as materialized (
    select t.i, string_agg(t.ident, ', ' order by t.place) as idents,
      string_agg(t.literal, ', ' order by t.place) as literals,
      string_agg(t.ident || ' = ' || t.literal, ', ' order by t.place) as settings
    from item as t
    group by 1
  ), gone as materialized (
    -- Rows that a cascade took, of which the log was not told.
    select t.target, array_agg(format('rows of %s that went with it are not in the log',
      audit.name_of(f.conrelid)) order by f.conrelid::regclass::text) as reasons
    from (select distinct n.target from net as n) as t
    join pg_constraint as f on f.confrelid = t.target and f.contype = 'f' and f.confdeltype = 'c'
      and f.conparentid = 0
    where not exists (
      select from audit.tracked as k
      cross join lateral jsonb_array_elements(k.actions) as r (rule)
      where k.target = f.conrelid and r.rule -> 'on' ? 'delete' and r.rule ->> 'when' is null)
    group by 1
  ), lost as materialized (
    select n.i, array_agg(coalesce(n.missing ->> c.number, format('%s %s', c.name, c.why))
        order by c.place) as reasons
    from net as n
    join col as c on c.target = n.target
    where n.operation = 'insert'
      and (n.missing ? c.number or not n.old_values ? c.number)
    group by 1
  )
  select n.place, n.target, n.operation, n.key,
    case when n.problem is not null or (n.operation <> 'insert' and n.present is null)
        or (n.is_update and l.settings is null) then null
      when n.operation = 'delete' then format('delete from %s where ', r.name)
      when n.is_update then format('update %s set %s where ', r.name, l.settings)
      when r.has_always
        then format('insert into %s (%s) overriding system value values ', r.name, l.idents)
      else format('insert into %s (%s) values ', r.name, l.idents) end,
    format('(%s)', case when n.operation = 'insert' and not n.is_update then l.literals
      else f.condition end),
    n.conflicts, m.missing, n.problem
  from net as n
  left join found as f on f.i = n.i
  left join list as l on l.i = n.i
  left join lost as o on o.i = n.i
  left join lateral (
    select audit.name_of(n.target) as name,
      exists (select from col as c where c.target = n.target and c.attidentity = 'a') as has_always
  ) as r on true
  cross join lateral (
    select case when n.operation = 'delete' then '{}'
      when n.operation = 'insert' then coalesce(o.reasons, '{}') || array(
        select e.value from jsonb_each_text(n.missing) as e where e.key !~ '^\d+$')
        || coalesce((select g.reasons from gone as g where g.target = n.target), '{}')
      else array(select e.value from jsonb_each_text(n.missing) as e order by e.key) end as missing
  ) as m
  where n.problem is not null or n.operation <> 'update' or l.settings is not null
    or n.missing <> '{}'
$$;

revoke all on function audit.undo_statements(audit.undo_net[]) from public;

comment on function audit.undo_statements(audit.undo_net[]) is
  'The statements that undo what became of rows of tables.';
