-- A declared action in words, for the catalogue.
create or replace function audit.describe_rule(rule jsonb)
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select concat_ws(' ',
    case jsonb_typeof(rule -> 'on')
      when 'array' then
        (select string_agg(e.value, ', ') from jsonb_array_elements_text(rule -> 'on') as e)
      else rule ->> 'on'
    end,
    '(' || (select string_agg(c.value, ', ')
            from jsonb_array_elements_text(rule -> 'columns') as c) || ')',
    'when ' || (rule ->> 'when'),
    case when (rule -> 'grouped')::boolean then 'one row per item and statement' end)
$$;

revoke all on function audit.describe_rule(jsonb) from public;

comment on function audit.describe_rule(jsonb) is
  'Says in words when a declared action is recorded.';
