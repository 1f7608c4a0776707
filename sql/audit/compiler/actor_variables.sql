-- What the actor of the transaction is read into: one setting, its fields parted by U+001F.
create or replace function audit.actor_variables()
  returns text[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select array['v_actor text := current_setting(''audit.actor'', true)']
$$;

revoke all on function audit.actor_variables() from public;

comment on function audit.actor_variables() is
  'Declaration of the variable that holds the actor in a compiled function.';
