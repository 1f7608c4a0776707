-- What the log says of a declaration that followed DDL: which column became which.
create or replace function audit.renamed_columns(was audit.tracked, now audit.tracked)
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select case when count(*) = 0 then '{}' else jsonb_build_object('renamed',
    jsonb_build_object('new', jsonb_object_agg(b ->> 'name', a ->> 'name'))) end
  from jsonb_array_elements(was.columns) as b
  join jsonb_array_elements(now.columns) as a
    on a ->> 'relation' = b ->> 'relation' and a ->> 'number' = b ->> 'number'
  where b ->> 'alias' is null and a ->> 'alias' is null and a ->> 'name' <> b ->> 'name'
$$;

revoke all on function audit.renamed_columns(audit.tracked, audit.tracked) from public;

comment on function audit.renamed_columns(audit.tracked, audit.tracked) is
  'The renamed columns of a table as an entry of changes: {"renamed": {"new": {"then": "now"}}}.';
