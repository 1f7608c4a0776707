-- Rows that came or went, from the records of one layout.
create or replace function audit.undo_records(
  y audit.layout, target regclass, rows audit.undo_row[]
)
  returns table (place bigint, kind text, vals jsonb, missing jsonb)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_names text;
  v_values text;
  v_missing jsonb;
begin
  select coalesce(string_agg(quote_literal(c.number), ', ' order by c.place)
        filter (where c.is_set and not c.is_secret), ''),
      coalesce(string_agg(format('case when num_nulls((r.v).%1$I) = 0 then concat((r.v).%1$I) end',
        c.name), ', ' order by c.place) filter (where c.is_set and not c.is_secret), ''),
      coalesce(jsonb_object_agg(coalesce(c.number::text, c.name),
        case when c.is_secret then format('%s is secret', c.name)
          else format('%s was dropped', c.name) end)
        filter (where c.is_secret or c.number is null), '{}')
    into v_names, v_values, v_missing
    from (select * from audit.undo_columns(y, undo_records.target)) as c;
  return query execute format(
'select r.place, case when r.is_deleted then ''delete'' else ''insert'' end,
  jsonb_object(array[%s]::text[], array[%s]::text[]), $2
from (
  select l.place, l.is_deleted, l.row_values::audit.layout_%s as v
  from unnest($1) as l
  offset 0
) as r', v_names, v_values, y.id)
    using undo_records.rows, v_missing;
end;
$$;

revoke all on function audit.undo_records(audit.layout, regclass, audit.undo_row[]) from public;

comment on function audit.undo_records(audit.layout, regclass, audit.undo_row[]) is
  'What the records of a layout hold, by the numbers that the columns have now.';
