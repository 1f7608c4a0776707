-- What the names of columns stand for in compiled code: the new row, the old one, the one that
-- moves from partition to partition, or both old and new merged.
create or replace function audit.row_names(t audit.tracked, side text)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (
    select c.name, c.is_key, c.number,
      case when side in ('new', 'merged')
        then audit.presented(c.declared_type, 'new.' || c.field) end as new_value,
      case when side in ('old', 'merged')
        then audit.presented(c.declared_type, 'old.' || c.field) end as old_value,
      case when side = 'moved'
        then audit.moved_value(row_number() over (order by c.number), c.type) end as moved_value
    from audit.columns_of(t.target) as c
  ), first_key as (
    select k.new_value as value from known as k where k.is_key order by k.number limit 1
  )
  select jsonb_object_agg(k.name, case side
      when 'new' then k.new_value
      when 'old' then k.old_value
      when 'moved' then k.moved_value
      else format('case when %s is null then %s else %s end', f.value, k.old_value, k.new_value) end)
  from known as k
  cross join first_key as f
$$;

revoke all on function audit.row_names(audit.tracked, text) from public;

comment on function audit.row_names(audit.tracked, text) is
  'SQL for each column of a table by its name, over one side of what happened to a row.';
