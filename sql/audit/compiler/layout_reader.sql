-- The function that reads the records of one layout: the values of its columns in their order, each
-- as the text that audit.changes shows. Everybody may call it: it shows what it is given, and whoever
-- was granted a view of the log must be able to read it.
create or replace function audit.layout_reader(y audit.layout)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with field as (
    select e.n, (e.c ->> 'kept_as')::regtype::oid as type,
      format('v_row.%s', audit.quoted(e.c ->> 'name')) as value
    from jsonb_array_elements(y.columns) with ordinality as e (c, n)
  )
  select format(
'create or replace function audit.%1$I(row_values text)
  returns text[]
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
  return array[%2$s]::text[];
end;
', y.id, (
      select string_agg(case
          when f.type = any (array['int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'bool'::regtype,
            'text'::regtype, 'varchar'::regtype, 'uuid'::regtype]::oid[])
          then f.value || '::text'
          -- As jsonb shows it.
          else format('to_jsonb(%s) #>> ''{}''', audit.json_value(f.type, f.value, true)) end,
        E',\n    ' order by f.n)
      from field as f)),
    'Reads a record of ' || y.table_name || ': its values.')
$$;

revoke all on function audit.layout_reader(audit.layout) from public;

comment on function audit.layout_reader(audit.layout) is
  'DDL of the function that reads the values in records of a layout.';
