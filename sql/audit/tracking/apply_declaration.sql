-- Makes a declaration true: checked, stored, compiled, installed, and the fact itself in the log.
create or replace function audit.apply_declaration(
  was audit.tracked, now audit.tracked, compiler text default audit.compiler_digest()
)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_before jsonb := audit.declaration_of(was);
  v_after jsonb;
  v_compiled audit.compiled;
  v_rebuilt boolean;
  v_joined jsonb;
begin
  perform audit.validate_declaration(now);

  now := audit.settle_readers(now);
  now.tables := now.target || array(
    select l.target from audit.lookups_of(now) as l where l.target <> now.target
    union
    select r from unnest(now.account_tables) as r where r <> now.target
    union
    select c.confrelid from pg_constraint as c
    where c.conrelid = now.target and c.contype = 'f' and c.confdeltype = 'c'
      and c.confrelid <> now.target
    order by 1);
  now.columns := audit.columns_now(now);
  if was.id is null then
    now.slug := audit.slug_for(now.target);
    now.compiled := '{}';
    insert into audit.tracked (target, slug, item_type, actions)
      values (now.target, now.slug, now.item_type, now.actions)
      returning id into now.id;
  end if;
  update audit.tracked as k
    set target = now.target, item_type = now.item_type, item_id = now.item_id,
      item_label = now.item_label, account = now.account, accounts = now.accounts,
      parent_type = now.parent_type, parent_id = now.parent_id, lookups = now.lookups,
      part = now.part, part_name = now.part_name, operational = now.operational,
      secret = now.secret, actions = now.actions, require_actor = now.require_actor,
      on_truncate = now.on_truncate, tables = now.tables, columns = now.columns,
      account_tables = now.account_tables, account_reader = now.account_reader,
      -- Event triggers leave it alone until it has a digest again.
      inputs = 'compiling'
    where k.id = now.id;
  perform audit.name_actions(now.actions);
  now.layout := audit.settle_layout(now);

  v_compiled := audit.compile_table(now);
  v_joined := case when was.id is not null then audit.joined_partitions(now.target) else '{}' end;
  v_rebuilt := audit.install_compiled(now, v_compiled);
  now.compiled := to_jsonb(v_compiled);
  update audit.tracked as k
    set compiled = now.compiled, layout = now.layout, table_name = audit.name_of(now.target),
      inputs = audit.inputs_of(now, compiler),
      trigger_count = (select count(*) from jsonb_object_keys(v_compiled.triggers))
    where k.id = now.id;
  perform audit.revoke_reading(was.tables);

  v_after := audit.declaration_of(now);
  if was.id is null then
    perform audit.write_table_event('tracking_started', audit.name_of(now.target),
      (select jsonb_object_agg(e.key, jsonb_build_object('new', e.value))
       from jsonb_each(v_after) as e));
    return 'started';
  elsif v_rebuilt or v_after <> v_before then
    perform audit.write_table_event('tracking_changed', audit.name_of(now.target),
      (select coalesce(jsonb_object_agg(e.key,
          jsonb_build_object('old', v_before -> e.key, 'new', e.value)), '{}')
       from jsonb_each(v_after) as e where e.value is distinct from v_before -> e.key)
      || audit.renamed_columns(was, now) || v_joined);
    return 'changed';
  end if;
  return 'unchanged';
end;
$$;

revoke all on function audit.apply_declaration(audit.tracked, audit.tracked, text) from public;

comment on function audit.apply_declaration(audit.tracked, audit.tracked, text) is
  'Stores, compiles and installs a declaration; says whether it started, changed or is unchanged.';
