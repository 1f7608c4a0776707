-- A list of columns after DDL.
create or replace function audit.follow_names(names text[], renamed jsonb, dropped text[])
  returns text[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(array_agg(coalesce(renamed ->> u.name, u.name) order by u.n), '{}')
  from unnest(names) with ordinality as u (name, n)
  where u.name <> all (dropped)
$$;

revoke all on function audit.follow_names(text[], jsonb, text[]) from public;

comment on function audit.follow_names(text[], jsonb, text[]) is
  'A list of column names with renamed ones renamed and dropped ones left out.';
