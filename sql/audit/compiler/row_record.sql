-- All audited columns of a row that came or went, as the text of a record of its layout: it costs less
-- than any jsonb to write, and a tenth of the bytes to keep.
create or replace function audit.row_record(t audit.tracked, side text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select audit.row_names(t, side) as names)
  select format(E'row(\n      %s)::audit.layout_%s::text',
    string_agg(r.value, E',\n      ' order by c.number), t.layout)
  from audit.columns_of(t.target) as c
  cross join known as n
  cross join lateral audit.record_value(c.type, n.names ->> c.name) as r
  where c.name <> all (t.operational) and c.name <> all (t.secret)
$$;

revoke all on function audit.row_record(audit.tracked, text) from public;

comment on function audit.row_record(audit.tracked, text) is
  'SQL for the record of a created (new) or deleted (old) row; null where it has no column.';
