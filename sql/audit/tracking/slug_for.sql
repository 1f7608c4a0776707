-- The name that a table's compiled functions begin with: readable, unique, and kept for life.
create or replace function audit.slug_for(relation regclass)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with base as (
    select left(trim('_' from regexp_replace(lower(n.nspname || '_' || c.relname),
      '[^a-z0-9]+', '_', 'g')), 40) as slug
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.oid = relation
  )
  select b.slug || s.suffix
  from base as b
  cross join lateral (
    select '' as suffix, 0 as n
    union all
    select '_' || i, i from generate_series(2, 1 + (select count(*)::int from audit.tracked) + 1) as i
  ) as s
  where not exists (select from audit.tracked as k where k.slug = b.slug || s.suffix)
  order by s.n
  limit 1
$$;

revoke all on function audit.slug_for(regclass) from public;

comment on function audit.slug_for(regclass) is
  'A free name for the compiled functions of a table.';
