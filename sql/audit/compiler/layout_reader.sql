-- The function that reads the records of one layout as plain values by column. Everybody may call
-- it: it shows what it is given, and whoever was granted a view of the log must be able to read it.
create or replace function audit.layout_reader(y audit.layout)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with field as (
    select
      e.n, e.c ->> 'name' as name, p.type, format('v_row.%s', audit.quoted(e.c ->> 'name')) as value
    from jsonb_array_elements(y.columns) with ordinality as e (c, n)
    cross join lateral (select (e.c ->> 'kept_as')::regtype::oid as type) as p
  ), part as (
    -- A function takes a hundred arguments at the most.
    select f.n / 50 as number, string_agg(format('%L, %s', f.name, j.value), E',\n      ' order by f.n)
      as pairs
    from field as f
    cross join lateral (select audit.json_value(f.type, f.value, true) as value) as j
    -- Those that jsonb shows in another way than the whole record's.
    where j.value <> f.value
    group by 1
  )
  select format(
'create or replace function audit.%1$I(row_values text)
  returns jsonb
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp%2$s
as %3$L;
comment on function audit.%1$I is %4$L',
    format('layout_%s_values', y.id),
    audit.reader_settings(array(select f.type from field as f)),
    format(
'
declare
  v_row constant audit.layout_%s := row_values::audit.layout_%1$s;
begin
  return to_jsonb(v_row)%2$s;
end;
', y.id, (
      select string_agg(format(E'\n    || jsonb_build_object(\n      %s)', p.pairs), '' order by p.number)
      from part as p)),
    'Reads a record of ' || y.table_name || ': its values.')
$$;

revoke all on function audit.layout_reader(audit.layout) from public;

comment on function audit.layout_reader(audit.layout) is
  'DDL of the function that reads the records of a layout by column.';
