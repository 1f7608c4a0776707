-- The context of a setting that nobody checked: what is no object is kept in one, for a fault in it
-- stops no write. What audit.set_actor() or the package set does not come here, so that no error is
-- caught on the way of a write.
create or replace function audit.context_of(given text)
  returns jsonb
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_context jsonb;
begin
  v_context := given::jsonb;
  if jsonb_typeof(v_context) = 'object' then
    return v_context;
  end if;
  return case when v_context <> 'null' then jsonb_build_object('unreadable', v_context) end;
exception when data_exception or program_limit_exceeded then
  return jsonb_build_object('unreadable', given);
end;
$$;

revoke all on function audit.context_of(text) from public;

comment on function audit.context_of(text) is
  'The context of the actor as an object; null where there is none.';
