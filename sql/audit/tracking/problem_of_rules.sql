-- The declared actions, looked over: well-formed, and no column nobody can own.
create or replace function audit.problem_of_rules(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with rule as (
    select r.rule, r.n,
      case jsonb_typeof(r.rule -> 'on') when 'array' then r.rule -> 'on'
        else jsonb_build_array(r.rule -> 'on') end as events
    from jsonb_array_elements(t.actions) with ordinality as r (rule, n)
  ), problem as (
    select r.n, case
      when jsonb_typeof(r.rule) <> 'object' then 'an action is a JSON object'
      when coalesce(r.rule ->> 'action', '') = '' then 'an action needs a name'
      when length(r.rule ->> 'action') > 255
        then format('action %s...: its name is longer than 255 characters',
          left(r.rule ->> 'action', 40))
      when r.rule ->> 'action' = t.item_type || '_baseline'
        then format('action %s: this name is that of what audit.baseline() writes',
          r.rule ->> 'action')
      when not r.rule ? 'on' or r.events = '[]'
        or exists (select from jsonb_array_elements_text(r.events) as e
                   where e.value is null or e.value not in ('insert', 'update', 'delete'))
        then format('action %s: "on" is insert, update, delete or a list of them',
          r.rule ->> 'action')
      when exists (select from jsonb_object_keys(r.rule) as k
                   where k not in ('action', 'on', 'columns', 'when', 'grouped', 'label',
                                   'description'))
        then format('action %s: unknown key in %s', r.rule ->> 'action', r.rule)
      when r.rule ? 'columns' and (jsonb_typeof(r.rule -> 'columns') <> 'array'
          or r.rule -> 'columns' = '[]'
          or exists (select from jsonb_array_elements_text(r.rule -> 'columns') as c
                     where c.value is null
                       or c.value not in (select a.name from audit.columns_of(t.target) as a
                                        where a.name <> all (t.operational))))
        then format('action %s: "columns" must list audited columns of the table',
          r.rule ->> 'action')
      when jsonb_typeof(r.rule -> 'grouped') <> 'boolean'
        then format('action %s: "grouped" is true or false', r.rule ->> 'action')
      when r.events @> '["update"]' and (r.rule -> 'grouped')::boolean
        and (select count(*) from rule as o where o.events @> '["update"]') > 1
        then format('action %s: a grouped action must be the only one on update',
          r.rule ->> 'action')
    end as text
    from rule as r
  )
  select p.text from problem as p where p.text is not null order by p.n limit 1
$$;

revoke all on function audit.problem_of_rules(audit.tracked) from public;

comment on function audit.problem_of_rules(audit.tracked) is
  'What is wrong with the actions of a declaration; null if nothing.';
