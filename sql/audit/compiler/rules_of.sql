-- The declared actions of one event, in order of precedence.
create or replace function audit.rules_of(t audit.tracked, event text)
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
  select
    r.number,
    r.rule ->> 'action',
    case when r.rule ? 'columns' then
      (select array_agg(c.value) from jsonb_array_elements_text(r.rule -> 'columns') as c) end,
    r.rule ->> 'when',
    coalesce((r.rule -> 'grouped')::boolean, false)
  from jsonb_array_elements(t.actions) with ordinality as r (rule, number)
  where r.rule -> 'on' @> to_jsonb(rules_of.event)
  order by r.number
$$;

revoke all on function audit.rules_of(audit.tracked, text) from public;

comment on function audit.rules_of(audit.tracked, text) is
  'The actions that a declaration gives to one event.';
