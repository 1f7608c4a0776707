-- The functions that read the records of one layout: as changes, as readers see them, or as plain
-- values by column. Everybody may call them: they show what they are given, and whoever was granted
-- a view of the log must be able to read it.
create or replace function audit.layout_reader(y audit.layout, kind text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with field as (
    select
      e.n, e.c ->> 'name' as name, p.type,
      audit.json_value(p.type, format('v_row.%s', audit.quoted(e.c ->> 'name')), true) as value
    from jsonb_array_elements(y.columns) with ordinality as e (c, n)
    cross join lateral (select (e.c ->> 'kept_as')::regtype::oid as type) as p
  ), pair (side, part, pairs) as (
    -- A function takes a hundred arguments at the most.
    select s.side, f.n / 50, string_agg(
      format('%L, %s', f.name, case when s.side = '' then f.value
        else format('jsonb_build_object(%L, %s)', s.side, f.value) end), E',\n      ' order by f.n)
    from field as f
    cross join (values ('old'), ('new'), ('')) as s (side)
    -- Plain values are those of the whole record, but for those that jsonb shows in another way.
    where s.side <> '' or f.value <> format('v_row.%s', audit.quoted(f.name))
    group by 1, 2
  ), secret as (
    select format(E'\n    || %L::jsonb',
      jsonb_object_agg(s, jsonb '{"redacted": true}')) as pairs
    from unnest(y.secret) as s
    having count(*) > 0
  ), shown (side, value) as (
    select s.side, coalesce(string_agg(format(E'jsonb_build_object(\n      %s)', p.pairs),
        E'\n    || ' order by p.part), case when s.side = '' then null else 'jsonb ''{}''' end)
      || case when s.side = '' then '' else coalesce((select pairs from secret), '') end
    from (values ('old'), ('new'), ('')) as s (side)
    left join pair as p on p.side = s.side
    group by s.side
  )
  select format(
'create or replace function audit.%I(row_values text%s)
  returns jsonb
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp%s
as %L;
comment on function audit.%1$I is %5$L',
    format('layout_%s_%s', y.id, kind),
    case kind when 'changes' then ', is_deleted boolean' else '' end,
    (select coalesce(string_agg(E'\n  set ' || s, '' order by s), '')
     from (
       select unnest(audit.settings_of(array(select f.type from field as f)))
       union
       select 'timezone = ''UTC''' from field as f where f.type = 'timestamptz'::regtype
       union
       -- Whatever the elements are: NULL in an array would be read as a text.
       select 'array_nulls = ''on''' from field as f where audit.element_of(f.type) <> f.type
     ) as p (s)),
    format(
'
declare
  v_row constant audit.layout_%s := row_values::audit.layout_%1$s;
begin
%s
end;
', y.id,
      case kind
        when 'changes' then format(
E'  if is_deleted then\n    return %s;\n  end if;\n  return %s;',
          (select s.value from shown as s where s.side = 'old'),
          (select s.value from shown as s where s.side = 'new'))
        else format('  return to_jsonb(v_row)%s;',
          coalesce(E'\n    || ' || (select s.value from shown as s where s.side = ''), ''))
        end),
    'Reads a record of ' || y.table_name || ': its ' || kind || '.')
$$;

revoke all on function audit.layout_reader(audit.layout, text) from public;

comment on function audit.layout_reader(audit.layout, text) is
  'DDL of the function that reads the records of a layout: their changes or their values.';
