-- Which columns say what an item belongs to: foreign keys between tracked tables, as they are now.
-- Where a column had another name, records and changes have it by that, as layouts tell.
create or replace function audit.parent_columns()
  returns table (item_type text, column_name text, parent_type text, renamed jsonb)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select distinct k.item_type, a.attname::text, p.item_type, (
    select jsonb_object_agg(y.id, r.key)
    from audit.layout as y
    cross join lateral jsonb_each_text(y.renamed) as r
    where y.tracked_id = k.id and r.value = a.attname
  )
  from audit.tracked as k
  join pg_constraint as c
    on c.conrelid = k.target and c.contype = 'f' and cardinality(c.conkey) = 1
  join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
  join audit.tracked as p on p.target = c.confrelid and p.part is null
  where k.part is null
$$;

revoke all on function audit.parent_columns() from public;

comment on function audit.parent_columns() is
  'The columns that say what an item belongs to; renamed has their names in layouts of before.';
