-- The keys of a part's columns are paths below the item: features/F1/max_consumption.
create or replace function audit.part_changes(t audit.tracked, row_sql audit.row_sql, changes text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when t.part is null then changes else format(
    E'(select jsonb_object_agg(%L || %s || ''/'' || _audit_c.key, _audit_c.value)'
    '\n     from jsonb_each(%s) as _audit_c)', t.part || '/', row_sql.part_name, changes) end
$$;

revoke all on function audit.part_changes(audit.tracked, audit.row_sql, text) from public;

comment on function audit.part_changes(audit.tracked, audit.row_sql, text) is
  'SQL that puts the path of a part before the keys of its changes.';
