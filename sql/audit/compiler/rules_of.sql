-- The declared actions of one event, in order of precedence.
create or replace function audit.rules_of(t audit.tracked, event text, old_side text default 'old')
  returns table (
    number bigint,
    action text,
    columns text[],
    condition text,
    is_grouped boolean
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (
    select audit.condition_names(t, rules_of.event, old_side) as names
    from jsonb_array_elements(t.actions) as r
    where r ? 'when' and r -> 'on' @> to_jsonb(rules_of.event)
    limit 1
  )
  select
    r.number,
    r.rule ->> 'action',
    case when r.rule ? 'columns' then
      (select array_agg(c.value) from jsonb_array_elements_text(r.rule -> 'columns') as c) end,
    case when r.rule ? 'when' then audit.bind_expression(t, r.rule ->> 'when',
      n.names, 'bool') end,
    coalesce((r.rule -> 'grouped')::boolean, false)
  from jsonb_array_elements(t.actions) with ordinality as r (rule, number)
  left join known as n on true
  where r.rule -> 'on' @> to_jsonb(rules_of.event)
  order by r.number
$$;

revoke all on function audit.rules_of(audit.tracked, text, text) from public;

comment on function audit.rules_of(audit.tracked, text, text) is
  'The actions that a declaration gives to one event.';
