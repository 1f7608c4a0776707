-- The columns that tell the rows of a table apart: its primary key. A migration replaces a key in two
-- statements, and between them a tracked table goes by the key that it had, while its columns are
-- there.
create or replace function audit.key_of(target regclass)
  returns smallint[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select array(select unnest(i.indkey)) from pg_index as i
     where i.indrelid = key_of.target and i.indisprimary),
    (select array_agg(a.attnum order by a.attnum)
     from audit.tracked as k
     cross join jsonb_array_elements(k.columns) as c
     left join pg_attribute as a on a.attrelid = k.target and not a.attisdropped and a.attnum > 0
       and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
         else a.attname = c ->> 'name' end
     where k.target = key_of.target and (c ->> 'is_key')::boolean
     having bool_and(a.attnum is not null)),
    '{}')
$$;

revoke all on function audit.key_of(regclass) from public;

comment on function audit.key_of(regclass) is
  'The numbers of the columns of the primary key of a table, or of the one that a tracked table had.';
