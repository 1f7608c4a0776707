-- The declaration with which a compiled function begins: where the table is not as it was compiled
-- for, it is an error before any column is looked at.
create or replace function audit.guard_of(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'  v_current constant boolean := audit.is_current(%s, %L, %s);\n',
    t.id, audit.fingerprint(t),
    (select string_agg(format('%L::regclass', r::oid::text), ', ' order by n)
     from unnest(t.tables) with ordinality as u (r, n)))
$$;

revoke all on function audit.guard_of(audit.tracked) from public;

comment on function audit.guard_of(audit.tracked) is
  'The variable of a compiled function that asks audit.is_current().';
