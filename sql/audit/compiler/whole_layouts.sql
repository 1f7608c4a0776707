-- The layouts whose records tell all that is audited of a row now: the newest one, and those
-- before it until one lacks a column, or had it of another type. What came before that one was not
-- told without a gap.
create or replace function audit.whole_layouts(t audit.tracked)
  returns integer[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with own as materialized (
    select y.id, y.columns, y.secret_numbers
    from audit.layout as y
    where y.tracked_id = t.id and y.relation = t.target and y.id <= t.layout
  )
  select coalesce(array_agg(w.id), '{}')
  from (
    select y.id,
      bool_and(not exists (
        select from own as n
        cross join jsonb_array_elements(n.columns) as c
        where n.id = t.layout and not exists (
          select from jsonb_array_elements(y.columns) as o
          where o -> 'number' = c -> 'number' and o -> 'type' = c -> 'type')
      ) and not exists (
        select from own as n
        cross join unnest(n.secret_numbers) as s
        where n.id = t.layout and s <> all (y.secret_numbers || array(
          select (o ->> 'number')::smallint from jsonb_array_elements(y.columns) as o)))
      ) over (order by y.id desc) as is_whole
    from own as y
  ) as w
  where w.is_whole
$$;

revoke all on function audit.whole_layouts(audit.tracked) from public;

comment on function audit.whole_layouts(audit.tracked) is
  'The layouts of a tracked table whose records hold all columns that are audited now.';
