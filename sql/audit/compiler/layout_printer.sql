-- The function that prints the records of one layout as changes, as jsonb would print them, with no
-- jsonb on the way: what exports ask for row by row. Everybody may call it, as the readers of a
-- layout.
create or replace function audit.layout_printer(y audit.layout)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with field as (
    select e.c ->> 'name' as name, (e.c ->> 'kept_as')::regtype::oid as type,
      format('v_row.%s', audit.quoted(e.c ->> 'name')) as value
    from jsonb_array_elements(y.columns) as e (c)
  ), member as (
    select f.name, f.type, case
        when f.type = any (array['int2'::regtype, 'int4'::regtype, 'int8'::regtype,
          'bool'::regtype, 'jsonb'::regtype]::oid[]) then f.value || '::text'
        -- As in jsonb: these have one form in both.
        when f.type = any (array['text'::regtype, 'varchar'::regtype, 'bpchar'::regtype,
          'uuid'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype]::oid[])
        then format('to_json(%s)::text', f.value)
        else format('to_jsonb(%s)::text', audit.json_value(f.type, f.value, true)) end as value
    from field as f
    union all
    select s, null, null from unnest(y.secret) as s
  ), placed as (
    -- The order of keys in jsonb.
    select m.*, row_number() over (order by octet_length(m.name), m.name collate "C") as n
    from member as m
  ), printed as (
    -- A function takes a hundred arguments at the most. What closes a member comes with the next.
    select s.side, (p.n - 1) / 50 as part, string_agg(
      format('%L', concat(case when p.n = 1 then '{' else '}, ' end, to_json(p.name), ': {',
        case when p.type is null then '"redacted": true' else format('"%s": ', s.side) end))
      || case when p.type is null then '' else format(', coalesce(%s, ''null'')', p.value) end,
      E',\n      ' order by p.n) as pieces
    from placed as p
    cross join (values ('old'), ('new')) as s (side)
    group by 1, 2
  ), shown (side, value) as (
    select s.side, coalesce(
      string_agg(format(E'concat(\n      %s)', p.pieces), E'\n    || ' order by p.part)
        filter (where p.pieces is not null) || ' || ''}}''',
      quote_literal('{}'))
    from (values ('old'), ('new')) as s (side)
    left join printed as p on p.side = s.side
    group by s.side
  )
  select format(
'create or replace function audit.%1$I(row_values text, is_deleted boolean)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp%2$s
as %3$L;
comment on function audit.%1$I is %4$L',
    format('layout_%s_text', y.id),
    audit.reader_settings(array(select f.type from field as f)),
    format(
'
declare
  v_row constant audit.layout_%s := row_values::audit.layout_%1$s;
begin
  if is_deleted then
    return %2$s;
  end if;
  return %3$s;
end;
', y.id,
      (select s.value from shown as s where s.side = 'old'),
      (select s.value from shown as s where s.side = 'new')),
    'Prints a record of ' || y.table_name || ': its changes as text.')
$$;

revoke all on function audit.layout_printer(audit.layout) from public;

comment on function audit.layout_printer(audit.layout) is
  'DDL of the function that prints the records of a layout as the text of changes.';
