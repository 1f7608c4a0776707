-- The actions after DDL: an action whose columns or condition are gone goes too, and what it owned
-- falls to the next.
create or replace function audit.follow_rules(
  actions jsonb, renamed jsonb, names jsonb, dropped text[]
)
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(r.rule
    || case when r.rule ? 'columns' then jsonb_build_object('columns', r.columns) else '{}' end
    || case when r.rule ? 'when' then jsonb_build_object('when',
        audit.rewrite_expression(r.rule ->> 'when', names)) else '{}' end
    order by r.n), '[]')
  from (
    select u.rule, u.n, audit.follow_names(
        array(select c.value from jsonb_array_elements_text(u.rule -> 'columns') as c),
        renamed, dropped) as columns
    from jsonb_array_elements(actions) with ordinality as u (rule, n)
  ) as r
  where (not r.rule ? 'columns' or cardinality(r.columns) > 0)
    and not exists (
      select from audit.names_in(coalesce(r.rule ->> 'when', '')) as w
      cross join unnest(dropped) as d (name)
      where w in ('old.' || d.name, 'new.' || d.name))
$$;

revoke all on function audit.follow_rules(jsonb, jsonb, jsonb, text[]) from public;

comment on function audit.follow_rules(jsonb, jsonb, jsonb, text[]) is
  'The actions of a declaration after columns were renamed or dropped.';
