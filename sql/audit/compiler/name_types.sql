-- Which names a declared expression may use, and the types that it sees them in.
create or replace function audit.name_types(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_object_agg(n.name, format('pg_catalog.%I', p.typname)), '{}')
  from (
    select q.prefix || c.name as name, c.type
    from audit.columns_of(t.target) as c
    cross join unnest(array['', 'old.', 'new.']) as q (prefix)
    union all
    select l.alias || '.' || a.attname, audit.presented_type(a.atttypid)
    from audit.lookups_of(t) as l
    join pg_attribute as a on a.attrelid = l.target and a.attnum > 0 and not a.attisdropped
  ) as n
  join pg_type as p on p.oid = n.type
$$;

revoke all on function audit.name_types(audit.tracked) from public;

comment on function audit.name_types(audit.tracked) is
  'The names that expressions of a declaration may use, with their types.';
