-- The settings that the text of a record is read under, and its values are shown under, by types.
create or replace function audit.reader_settings(types oid[])
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(E'\n  set ' || p.s, '' order by p.s), '')
  from (
    select unnest(audit.settings_of(reader_settings.types))
    union
    select 'timezone = ''UTC''' where 'timestamptz'::regtype = any (reader_settings.types)
    union
    -- Whatever the elements are: NULL in an array would be read as a text.
    select 'array_nulls = ''on'''
    from unnest(reader_settings.types) as u (type)
    where audit.element_of(u.type) <> u.type
  ) as p (s)
$$;

revoke all on function audit.reader_settings(oid[]) from public;

comment on function audit.reader_settings(oid[]) is
  'The clauses of a function that reads records whose columns have these types.';
