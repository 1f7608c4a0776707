-- Everything under an item, whatever became of it: told by the log alone, by the parents of its
-- rows and by the foreign keys that were written into them. Of closed partitions a summary tells it,
-- so that of an account only the rows of the months that are open are read.
create or replace function audit.tree_log(
  item_type text,
  item_id text,
  account_id text default null,
  baseline boolean default false
)
  returns setof audit.events
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
  -- Compiling a plan over all partitions takes longer than it spares.
  set jit = off
as $$
declare
  v_account text := case when tree_log.account_id is null then 'true'
    else format('l.account_id = %L', tree_log.account_id) end;
  -- Partitions ahead are left out.
  v_until timestamptz := audit.horizon(date_trunc('month', now(), 'UTC') + interval '1 month');
  v_summarised text[] := '{}';
  v_open text := 'true';
  v_told text := '';
  v_types text[];
  v_ids text[];
begin
  -- For whom the summary shows as much as the log does.
  if has_table_privilege('audit.belonging', 'select')
    and has_table_privilege('audit.closed_partition', 'select')
    and (not row_security_active('audit.belonging')
      or not audit.has_own_policies()
        and coalesce(pg_has_role(to_regrole('audit_exporter'), 'usage')
          or pg_has_role(to_regrole('audit_reader'), 'usage'), false))
  then
    v_told := format(
'
    union all
    select l.item_type, l.item_id
    from audit.belonging as l
    where l.parent_id = t.item_id and l.parent_type = t.item_type and l.partition = any ($3)
      and %s', v_account);
    with summarised as (
      select * from audit.summarised_partitions()
    ), gap (since, until) as (
      select coalesce(lag(s.upper_bound) over (order by s.lower_bound), '-infinity'), s.lower_bound
      from summarised as s
      union all
      select coalesce(max(s.upper_bound), '-infinity'), v_until from summarised as s
    )
    select coalesce(array_agg(s.partition), '{}'), coalesce((
        select string_agg(format('(l.occurred_at >= %L and l.occurred_at < %L)', g.since, g.until),
          ' or ' order by g.since)
        from gap as g
        where g.since < g.until), 'false')
      into v_summarised, v_open
      from summarised as s;
  end if;

  execute format(
'with recursive link as materialized (
  select l.parent_type, l.parent_id, array_agg(l.item_type) as types, array_agg(l.item_id) as ids
  from (%s) as l
  group by l.parent_type, l.parent_id
), tree as (
  select $1 collate "C" as item_type, $2 collate "C" as item_id
  union
  select c.item_type, c.item_id
  from (
    select t.item_type, t.item_id, k.types, k.ids
    from tree as t
    left join link as k on k.parent_type = t.item_type and k.parent_id = t.item_id
  ) as t
  cross join lateral (
    select k.item_type, k.item_id from unnest(t.types, t.ids) as k (item_type, item_id)%s
  ) as c
)
select array_agg(t.item_type), array_agg(t.item_id) from tree as t',
    audit.belonging_query('audit.log', format('%s and (%s)', v_account, v_open)), v_told)
    into v_types, v_ids
    using tree_log.item_type, tree_log.item_id, v_summarised;

  -- Without statistics the planner takes items to have many more rows than they have.
  return query execute format(
'select e.*
from unnest($1, $2) as t (item_type, item_id)
cross join lateral (
  select l.*
  from audit.events as l
  where l.item_id = t.item_id and l.item_type = t.item_type and l.occurred_at < %L and %s%s
  %s
) as e
order by e.occurred_at desc, e.id desc',
    v_until, v_account,
    case when tree_log.baseline then '' else ' and l.action <> l.item_type || ''_baseline''' end,
    case when cardinality(v_ids) < 10000 then 'offset 0' end)
    using v_types, v_ids;
end;
$$;

revoke all on function audit.tree_log(text, text, text, boolean) from public;

comment on function audit.tree_log(text, text, text, boolean) is
  'Public. The events of an item and of everything that ever belonged to it, newest first.';
