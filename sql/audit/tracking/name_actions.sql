-- Labels of declared actions; the log may show them long after the declaration is gone.
create or replace function audit.name_actions(actions jsonb)
  returns void
  language sql
  set search_path = pg_catalog, pg_temp
as $$
  insert into audit.action as a (action, label, description)
  select
    r.rule ->> 'action',
    coalesce(min(r.rule ->> 'label'), upper(left(r.rule ->> 'action', 1))
      || replace(substr(r.rule ->> 'action', 2), '_', ' ')),
    coalesce(min(r.rule ->> 'description'), '')
  from jsonb_array_elements(actions) as r (rule)
  group by r.rule ->> 'action'
  on conflict (action) do update
    set label = excluded.label,
      description = coalesce(nullif(excluded.description, ''), a.description)
    where (a.label, a.description) is distinct from
        (excluded.label, coalesce(nullif(excluded.description, ''), a.description))
      and exists (select from jsonb_array_elements(actions) as r (rule)
                  where r.rule ->> 'action' = a.action
                    and (r.rule ? 'label' or r.rule ? 'description'))
$$;

revoke all on function audit.name_actions(jsonb) from public;

comment on function audit.name_actions(jsonb) is
  'Stores the labels and descriptions that a declaration gives its actions.';
