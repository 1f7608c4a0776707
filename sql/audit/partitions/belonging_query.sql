-- What rows of the log tell of what belongs to what: by the parents of rows, and by the foreign keys
-- written into them. An item that went from one parent to another belongs to both. Of a record only
-- the keys are read, which takes a third of the time of reading it whole; where its layout keeps one
-- as a type that jsonb shows in another way, or is of another table, it is read whole.
create or replace function audit.belonging_query(relation text, condition text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with parent as materialized (
    select k.*, row_number() over (order by k.item_type, k.column_name, k.parent_type) as n
    from audit.parent_columns() as k
  ), name as (
    select k.item_type, k.column_name as name from parent as k
    union
    select k.item_type, r.value from parent as k cross join lateral jsonb_each_text(k.renamed) as r
  ), layout as (
    -- How each layout of a table has the keys.
    select k.item_type, y.id,
      string_agg(coalesce('(r.r).' || quote_ident(e.c ->> 'name') || '::text', 'null'), ', ' order by k.n) as ids
    from parent as k
    join audit.tracked as t on t.item_type = k.item_type and t.part is null
    join audit.layout as y on y.tracked_id = t.id
    left join lateral jsonb_array_elements(y.columns) as e (c)
      on e.c ->> 'name' = coalesce(k.renamed ->> y.id::text, k.column_name)
    where to_regtype(format('audit.layout_%s', y.id)) is not null
    group by k.item_type, y.id
    having bool_and(e.c is null or (e.c ->> 'kept_as')::regtype = any (
      '{smallint,integer,bigint,uuid,text,character varying}'::regtype[]))
  ), kind as (
    select k.item_type,
      array_agg(k.parent_type order by k.n) as once,
      string_agg(format('l.changes -> %1$s ->> ''old'', l.changes -> %1$s ->> ''new''', v.key), ', '
        order by k.n) as pairs,
      string_agg(format('v.v -> %s ->> ''new''', v.key), ', ' order by k.n) as whole
    from parent as k
    cross join lateral (
      select case when k.renamed is null then quote_literal(k.column_name)
        else format('coalesce(%L::jsonb ->> l.layout::text, %L)', k.renamed, k.column_name)
        end as key
    ) as v
    group by k.item_type
  ), branch as (
    select
      format('when %L then case when l.row_values is null then %L else %L end::text[]', k.item_type,
        (select array_agg(o order by n, s) from unnest(k.once) with ordinality as u (o, n)
         cross join generate_series(1, 2) as s),
        k.once) as types,
      format(
E'when %L then case\n    when l.row_values is null then array[%s]::text[]%s\n    '
        'else (select array[%s]::text[] from (select audit.record_changes(l.layout, l.row_values, false) as v '
        'offset 0) as v) end',
        k.item_type, k.pairs,
        (select string_agg(format(E'\n    when l.layout = %1$s then (select array[%2$s]::text[] '
          'from (select l.row_values::audit.layout_%1$s as r offset 0) as r)', y.id, y.ids), ''
          order by y.id desc)
         from layout as y where y.item_type = k.item_type),
        k.whole) as ids
    from kind as k
  )
  select format(
'select l.account_id, l.item_type, l.item_id, l.parent_type, l.parent_id
from (
  select l.account_id, l.item_type, l.item_id,
    unnest(l.parent_type || %s) as parent_type, unnest(l.parent_id || %s) as parent_id
  from (
    select l.account_id, l.item_type, l.item_id, l.parent_type, l.parent_id, l.layout, l.changes,
      l.row_values
    from %s as l
    where (l.parent_id is not null
        or (l.row_values is not null or l.changes ?| %L) and l.item_type = any (%L))
      and (%s)
    offset 0
  ) as l
) as l
where l.parent_id is not null',
    coalesce('case l.item_type ' || (select string_agg(b.types, ' ') from branch as b) || ' end',
      'null::text[]'),
    coalesce('case l.item_type ' || (select string_agg(b.ids, E'\n  ') from branch as b) || ' end',
      'null::text[]'),
    belonging_query.relation,
    array(select distinct n.name from name as n),
    array(select distinct n.item_type from name as n),
    belonging_query.condition)
$$;

revoke all on function audit.belonging_query(text, text) from public;

comment on function audit.belonging_query(text, text) is
  'The query that reads what belongs to what from the log, or from a partition of it; an item may '
  'be in it more than once.';
