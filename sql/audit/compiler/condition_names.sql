-- What names in a condition stand for: old and new row, and for rows that came or went the one there is.
create or replace function audit.condition_names(t audit.tracked, event text, old_side text)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_object_agg(q.prefix || c.key, c.value), '{}')
  from (
    select 'new' as side, unnest(case event when 'update' then array['new.']
        when 'insert' then array['new.', ''] else '{}' end) as prefix
    union all
    select 'old', unnest(case event when 'update' then array['old.']
        when 'delete' then array['old.', ''] else '{}' end)
  ) as q
  cross join lateral jsonb_each_text(audit.row_names(t,
    case q.side when 'new' then 'new' else old_side end)) as c
$$;

revoke all on function audit.condition_names(audit.tracked, text, text) from public;

comment on function audit.condition_names(audit.tracked, text, text) is
  'SQL for each name that a condition of an event may use.';
