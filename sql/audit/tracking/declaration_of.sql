-- A declaration as the log shows it when it begins, changes or ends.
create or replace function audit.declaration_of(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select to_jsonb(t)
    - '{id,slug,target,tables,columns,compiled,table_name,inputs,layout,trigger_count,account_tables,account_reader}'::text[]
    || jsonb_build_object(
    'table', coalesce(t.compiled ->> 'name', audit.name_of(t.target)),
    'columns', (
      select coalesce(jsonb_object_agg(c ->> 'name', c ->> 'type'), '{}')
      from jsonb_array_elements(t.columns) as c
      where c ->> 'alias' is null))
$$;

revoke all on function audit.declaration_of(audit.tracked) from public;

comment on function audit.declaration_of(audit.tracked) is
  'A declaration and the columns of its table, as one JSON object.';
