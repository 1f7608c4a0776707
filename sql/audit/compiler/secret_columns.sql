-- Which columns of a tracked table are secret, in the order of the table.
create or replace function audit.secret_columns(t audit.tracked)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select a.attname::text
    from pg_attribute as a
    where a.attrelid = t.target and a.attnum > 0 and not a.attisdropped
      and a.attname = any (t.secret) and a.attname <> all (t.operational)
    order by a.attnum)
$$;

revoke all on function audit.secret_columns(audit.tracked) from public;

comment on function audit.secret_columns(audit.tracked) is
  'The secret columns of a tracked table, in the order of the table.';
