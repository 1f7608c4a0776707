-- Rows that the log tells column by column: what was updated, and parts, of which one row of the
-- log may tell several. A path names the part.
create or replace function audit.undo_entries(
  y audit.layout, target regclass, rows audit.undo_row[]
)
  returns table (
    place bigint, part text, kind text, old_values jsonb, new_values jsonb, missing jsonb
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_nestloop = off
as $$
  with col as materialized (
    select k.*, replace(k.kept_as, '"', '') in (
      'pg_catalog.text', 'pg_catalog.varchar', 'pg_catalog.int2',
      'pg_catalog.int4', 'pg_catalog.int8', 'pg_catalog.numeric', 'pg_catalog.uuid') as is_alike
    from audit.undo_columns(y, undo_entries.target) as k
  ), names as materialized (
    select array_agg(c.name) as list from col as c
  ), entry as (
    select l.place, p.found[1] as part, coalesce(p.found[2], e.key) as name, e.value
    from unnest(undo_entries.rows) as l
    cross join lateral jsonb_each(l.changes) as e
    cross join names as n
    cross join lateral (
      select case when e.key <> all (n.list)
        then regexp_match(e.key, '^[^/]*/([^/]*)/(.*)$') end as found
    ) as p
  ), value as (
    select e.place, e.part, e.name, c.number, coalesce(c.is_set, true) as is_set,
      e.value ? 'old' as has_old, e.value ? 'new' as has_new,
      case when v.is_null_of_json and not c.is_required then null else t.old end as old,
      case when e.value -> 'new' <> 'null' or c.is_required then t.new end as new,
      case when c.number is null then format('%s was dropped', e.name)
        when e.value ? 'redacted' then format('%s is secret', e.name)
        when v.is_null_of_json and not c.is_required
          then format('%s was null, in JSON or not', e.name)
        when t.old is null and e.value -> 'old' <> 'null'
          or t.new is null and e.value -> 'new' <> 'null'
          then format('%s cannot be told from its JSON', e.name) end as missing
    from entry as e
    left join col as c on c.name = e.name
    cross join lateral (
      select c.kept_as = 'pg_catalog.jsonb' and e.value -> 'old' = 'null' as is_null_of_json
    ) as v
    cross join lateral (
      -- What JSON writes as the type does needs no look at it.
      select
        case when c.is_alike then e.value ->> 'old'
          else audit.undo_text(e.value -> 'old', c.kept_as) end as old,
        case when c.is_alike then e.value ->> 'new'
          else audit.undo_text(e.value -> 'new', c.kept_as) end as new
    ) as t
  )
  select v.place, v.part,
    case when bool_or(v.has_old and v.has_new) then 'update'
      when bool_or(v.has_new) then 'insert'
      when bool_or(v.has_old) then 'delete'
      else 'update' end,
    coalesce(jsonb_object_agg(v.number, v.old)
      filter (where v.has_old and v.is_set and v.number is not null), '{}'),
    coalesce(jsonb_object_agg(v.number, v.new)
      filter (where v.has_new and v.is_set and v.number is not null), '{}'),
    coalesce(jsonb_object_agg(coalesce(v.number::text, v.name), v.missing)
      filter (where v.missing is not null and v.is_set), '{}')
  from value as v
  group by v.place, v.part
$$;

revoke all on function audit.undo_entries(audit.layout, regclass, audit.undo_row[]) from public;

comment on function audit.undo_entries(audit.layout, regclass, audit.undo_row[]) is
  'What changes of the log hold, by the numbers that the columns have now.';
