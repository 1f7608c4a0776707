-- What a compiled function reads the actor of its transaction from and into: audit.read_actor() has
-- the statements.
create or replace function audit.actor_variables()
  returns text[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select array[
    'v_actor text := current_setting(''audit.actor'', true)',
    'v_actor_type text', 'v_actor_id text', 'v_actor_label text', 'v_context jsonb',
    'v_on_behalf_of_type text', 'v_on_behalf_of_id text', 'v_on_behalf_of_label text']
$$;

revoke all on function audit.actor_variables() from public;

comment on function audit.actor_variables() is
  'Declarations of the variables that hold the actor in a compiled function.';
