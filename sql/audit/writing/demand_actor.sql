-- Refuses a write without an actor where the declaration requires one.
create or replace function audit.demand_actor(name text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'a write to % needs an actor, and the transaction has none', demand_actor.name
    using errcode = 'UA002',
      hint = 'In the same transaction, before the write: '
        'select audit.set_actor(''platform_user'', ''42'', ''ana@example.com'').';
end;
$$;

revoke all on function audit.demand_actor(text) from public;

comment on function audit.demand_actor(text) is
  'Raises the error for a write without the actor that its table requires.';
