-- What read_actor() reads the actor into.
create or replace function audit.actor_variables()
  returns text[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select array['v_actor text[]', 'v_actor_type text', 'v_actor_id text', 'v_actor_label text',
    'v_context jsonb']
$$;

revoke all on function audit.actor_variables() from public;

comment on function audit.actor_variables() is
  'Declarations of the variables for the actor in a compiled function.';
