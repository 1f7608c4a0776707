-- Where the columns of a layout are now: by their numbers as long as the table is the same one, by
-- their names after a restore.
create or replace function audit.undo_columns(y audit.layout, target regclass)
  returns table (
    place bigint, name text, number smallint, kept_as text, is_secret boolean, is_set boolean,
    is_required boolean
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select c.place, c.name, a.attnum, c.kept_as, c.place is null,
    a.attgenerated = '', a.attnotnull
  from (
    select e.place, e.item ->> 'name', (e.item ->> 'number')::smallint, e.item ->> 'kept_as'
    from jsonb_array_elements(y.columns) with ordinality as e (item, place)
    union all
    select null, s.name, s.number, null
    from unnest(y.secret, y.secret_numbers) as s (name, number)
  ) as c (place, name, number, kept_as)
  left join pg_attribute as a on a.attrelid = undo_columns.target and not a.attisdropped
    and a.attnum > 0
    and case when y.relation = undo_columns.target then a.attnum = c.number
      else a.attname = coalesce(y.renamed ->> c.name, c.name) end
$$;

revoke all on function audit.undo_columns(audit.layout, regclass) from public;

comment on function audit.undo_columns(audit.layout, regclass) is
  'The columns of a layout, with the numbers that they have in their table now.';
