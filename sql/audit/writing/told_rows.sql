-- Which rows of a tracked table the log has whole: created while it was tracked as it is now, or
-- told by a baseline since, and not deleted after that. Rows of an import are another database's.
create or replace function audit.told_rows(tracked_id integer, item_ids text[])
  returns table (item_id text, key jsonb)
  language plpgsql
  stable
  -- Asked by a function that can write to the log and not read it.
  security definer
  set search_path = pg_catalog, pg_temp
  -- One index probe for each item, whatever the planner takes the log for.
  set enable_seqscan = off
  set enable_bitmapscan = off
  set jit = off
  set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  t audit.tracked;
  v_layouts integer[];
  v_since timestamptz;
  v_until constant timestamptz :=
    audit.horizon(date_trunc('month', now(), 'UTC') + interval '1 month');
  v_is_item boolean;
  v_keys text[];
begin
  select * into strict t from audit.tracked as k where k.id = told_rows.tracked_id;
  v_layouts := audit.whole_layouts(t);
  v_is_item := t.item_id is null and t.part is null
    and not exists (select from jsonb_array_elements(t.actions) as r
                    where (r -> 'grouped')::boolean);
  v_keys := array(select k.name from audit.baseline_key_columns(t) as k order by k.place);
  select min(y.made_at) into v_since from audit.layout as y where y.id = any (v_layouts);
  -- What was emptied is told of no single row.
  select greatest(v_since, max(l.occurred_at)) into v_since
    from audit.log as l
    where l.item_id = audit.name_of(t.target) and l.item_type = 'table' and l.account_id = ''
      and l.action = 'table_truncated' and l.occurred_at >= v_since and l.occurred_at < v_until;
  return query
    select r.item_id, r.key
    from (
      select l.item_id, l.occurred_at, l.is_deleted, k.key
      from unnest(told_rows.item_ids) as i (id)
      cross join lateral (
        select o.*
        from audit.log as o
        where o.item_id = i.id and o.item_type = t.item_type
          and o.layout = any (v_layouts) and o.era > 0
          and o.occurred_at >= v_since and o.occurred_at < v_until
        offset 0
      ) as l
      cross join lateral (
        select null::jsonb as key
        where v_is_item and l.row_values is not null
        union all
        select jsonb_agg(v.shown[n.place] order by u.place)
        from audit.record_values(l.layout, l.row_values) as v (shown)
        cross join unnest(v_keys) with ordinality as u (name, place)
        left join audit.layout as y on y.id = l.layout
        left join unnest(y.names) with ordinality as n (name, place) on n.name = u.name
        where not v_is_item and l.row_values is not null
        having count(*) > 0
        union all
        select jsonb_agg(e.value -> case when l.is_deleted then 'old' else 'new' end
          order by array_position(v_keys, split_part(e.key, '/', 3)))
        from jsonb_each(l.changes) as e
        where not v_is_item and l.row_values is null
          and split_part(e.key, '/', 3) = any (v_keys)
          and (e.value ? 'old') = l.is_deleted
        group by split_part(e.key, '/', 2)
      ) as k
    ) as r
    group by r.item_id, r.key
    having max(r.occurred_at) filter (where not r.is_deleted)
      > coalesce(max(r.occurred_at) filter (where r.is_deleted), '-infinity');
end;
$$;

revoke all on function audit.told_rows(integer, text[]) from public;

comment on function audit.told_rows(integer, text[]) is
  'Of these items, those that the log has whole; with the key of their row where an item has '
  'several.';
