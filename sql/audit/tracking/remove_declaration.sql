-- Takes a declaration away with all that was compiled from it, also when its table is gone already.
create or replace function audit.remove_declaration(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_compiled audit.compiled := jsonb_populate_record(null::audit.compiled, t.compiled);
  v_relation regclass;
  v_name text;
begin
  -- First, so that event triggers find nothing to follow.
  delete from audit.tracked as k where k.id = t.id;
  if audit.name_of(t.target) is not null then
    for v_relation in select audit.triggered_relations(t.target) loop
      for v_name in select jsonb_object_keys(v_compiled.triggers) loop
        if audit.carries(v_relation, t.target, v_name) then
          execute format('drop trigger if exists %I on %s', v_name, audit.name_of(v_relation));
        end if;
      end loop;
    end loop;
  end if;
  for v_name in select jsonb_object_keys(v_compiled.functions) loop
    execute format('drop function if exists audit.%I', v_name);
  end loop;
  perform audit.remove_baseline(t);
  delete from audit.baseline_key as k where k.tracked_id = t.id;
  delete from audit.baseline_run as b where b.tracked_id = t.id;
  perform audit.revoke_reading(t.tables);
  perform audit.write_table_event('tracking_stopped',
    coalesce(audit.name_of(t.target), v_compiled.name, t.target::text),
    (select jsonb_object_agg(e.key, jsonb_build_object('old', e.value))
     from jsonb_each(audit.declaration_of(t)) as e));
end;
$$;

revoke all on function audit.remove_declaration(audit.tracked) from public;

comment on function audit.remove_declaration(audit.tracked) is
  'Removes a declaration, its triggers and its functions, and says so in the log.';
