-- What a record of a tracked table holds now: its audited columns, without the secret ones.
create or replace function audit.layout_columns(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'name', c.name,
      'number', c.number,
      'type', format_type(a.atttypid, a.atttypmod),
      'kept_as', r.kept_as) order by c.number), '[]')
  from audit.columns_of(t.target) as c
  join pg_attribute as a on a.attrelid = t.target and a.attnum = c.number
  cross join lateral audit.record_value(c.type, '') as r
  where c.name <> all (t.operational) and c.name <> all (t.secret)
$$;

revoke all on function audit.layout_columns(audit.tracked) from public;

comment on function audit.layout_columns(audit.tracked) is
  'The columns that a record of a tracked table holds, as audit.layout has them.';
