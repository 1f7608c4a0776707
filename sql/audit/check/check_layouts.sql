-- Whether what is derived from audit.layout is there and fits it. Records of the log are read by it: a
-- type of another shape, left from before rows of another log were loaded, would show them wrong.
create or replace function audit.check_layouts()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with layout as (
    select y.*, format('layout_%s', y.id) as name from audit.layout as y
  ), derived as (
    select y.id, y.table_name, y.name, y.columns, t.oid, t.typrelid,
      to_regproc(format('audit.%I', y.name || '_text')) is not null
        and to_regproc(format('audit.%I', y.name || '_values')) is not null as is_read
    from layout as y
    left join pg_type as t on t.typnamespace = 'audit'::regnamespace and t.typname = y.name
  )
  select 'layout_missing', 'error', format('audit.%I', d.name),
    format('The type or a function of layout %s is gone: whole rows of %s cannot be read.', d.id,
      d.table_name),
    'select audit.refresh();'
  from derived as d
  where d.oid is null or not d.is_read
  union all
  select 'layout_changed', 'error', format('audit.%I', d.name),
    format('The type of layout %s has not the columns that audit.layout tells of: rows of %s are '
      'shown wrong, or not at all.', d.id, d.table_name),
    format('drop type audit.%1$I; drop function if exists audit.%2$I, audit.%3$I; '
      'select audit.refresh();', d.name, d.name || '_text', d.name || '_values')
  from derived as d
  where (
      select coalesce(jsonb_agg(jsonb_build_array(a.attname, a.atttypid) order by a.attnum), '[]')
      from pg_attribute as a
      where a.attrelid = d.typrelid and a.attnum > 0 and not a.attisdropped)
    is distinct from (
      select coalesce(jsonb_agg(jsonb_build_array(c ->> 'name', to_regtype(c ->> 'kept_as')::oid)
        order by n), '[]')
      from jsonb_array_elements(d.columns) with ordinality as e (c, n))
    and d.oid is not null
$$;

revoke all on function audit.check_layouts() from public;

comment on function audit.check_layouts() is
  'Findings: layouts of the log whose type or functions are missing, or of another shape.';
