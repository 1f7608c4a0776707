-- Puts compiled functions and triggers in place, touching only what differs: replacing a function
-- takes no lock on the table, replacing a trigger does.
create or replace function audit.install_compiled(t audit.tracked, compiled audit.compiled)
  returns boolean
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_was audit.compiled := jsonb_populate_record(null::audit.compiled, t.compiled);
  v_relation regclass;
  v_name text;
  v_text text;
  v_changed boolean := false;
begin
  for v_name, v_text in select e.key, e.value from jsonb_each_text(compiled.functions) as e loop
    continue when v_text = v_was.functions ->> v_name
      and audit.is_function_installed(v_name, v_text, compiled.owners ->> v_name);
    execute v_text;
    perform audit.give_function(v_name, coalesce(compiled.owners ->> v_name, 'audit_writer'));
    execute format('comment on function audit.%I is %L', v_name,
      format('Compiled by audit.track() for %s.', audit.name_of(t.target)));
    v_changed := true;
  end loop;

  for v_relation in select audit.triggered_relations(t.target) loop
    for v_name, v_text in
      select e.key, e.value from jsonb_each_text(compiled.triggers) as e
      where audit.carries(v_relation, t.target, e.key)
      order by e.key
    loop
      -- One that the owner disabled stays so.
      continue when audit.has_trigger(v_relation, v_name, true)
        and v_text = v_was.triggers ->> v_name;
      if exists (select from pg_trigger as g
                 where g.tgrelid = v_relation and g.tgname = v_name) then
        execute format('drop trigger %I on %s', v_name, audit.name_of(v_relation));
      end if;
      execute format('create trigger %I %s', v_name,
        replace(v_text, format(' on %s ', t.target), format(' on %s ', audit.name_of(v_relation))));
      execute format('alter table %s enable always trigger %I', audit.name_of(v_relation), v_name);
      v_changed := true;
    end loop;
  end loop;

  for v_name in select jsonb_object_keys(v_was.triggers)
    except select jsonb_object_keys(compiled.triggers)
  loop
    execute format('drop trigger if exists %I on %s', v_name, audit.name_of(t.target));
    v_changed := true;
  end loop;
  for v_name in select jsonb_object_keys(v_was.functions)
    except select jsonb_object_keys(compiled.functions)
  loop
    execute format('drop function if exists audit.%I', v_name);
    v_changed := true;
  end loop;
  return v_changed;
end;
$$;

revoke all on function audit.install_compiled(audit.tracked, audit.compiled) from public;

comment on function audit.install_compiled(audit.tracked, audit.compiled) is
  'Creates the compiled functions and triggers of a table where they differ; says whether any did.';
