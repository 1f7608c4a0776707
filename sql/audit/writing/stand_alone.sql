-- A table whose rows come and go by another one's name is past its triggers. A row trigger with
-- transition tables is what PostgreSQL itself refuses in a hierarchy: where no event trigger looks
-- after that, each tracked table has one that never fires.
create or replace function audit.stand_alone()
  returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  return null;
end;
$$;

revoke all on function audit.stand_alone() from public;

comment on function audit.stand_alone() is
  'Trigger that never fires: with it a table can become no partition, and no child of another.';
