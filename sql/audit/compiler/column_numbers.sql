-- Which columns a table has, audited or not: a number that is not among them was dropped, or comes
-- later.
create or replace function audit.column_numbers(target regclass)
  returns smallint[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select a.attnum
    from pg_attribute as a
    where a.attrelid = column_numbers.target and a.attnum > 0 and not a.attisdropped
    order by a.attnum)
$$;

revoke all on function audit.column_numbers(regclass) from public;

comment on function audit.column_numbers(regclass) is 'The numbers of all columns of a table.';
