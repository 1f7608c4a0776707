-- The numbers of the secret columns of a tracked table: so a renamed one is known again.
create or replace function audit.secret_numbers(t audit.tracked)
  returns smallint[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select a.attnum
    from pg_attribute as a
    where a.attrelid = t.target and a.attname = any (audit.secret_columns(t))
    order by a.attnum)
$$;

revoke all on function audit.secret_numbers(audit.tracked) from public;

comment on function audit.secret_numbers(audit.tracked) is
  'The numbers of the secret columns of a tracked table, in the order of the table.';
