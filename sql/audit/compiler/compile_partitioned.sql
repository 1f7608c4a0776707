-- Partitioned tables: row triggers, which PostgreSQL clones to every partition, so that a write
-- straight into a partition is seen too. A row that moves comes as a deletion followed by an
-- insertion; between two statement triggers of the UPDATE the pair is put together again.
create or replace function audit.compile_partitioned(
  t audit.tracked, settings text[], compiled audit.compiled
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- Rows on their way are kept as text, whatever their types.
  v_all_settings constant text[] := audit.settings_of(array['record'::regtype::oid]);
  v_root text := audit.name_of(t.target);
  v_setting text := quote_literal('audit.moving_' || t.id);
  v_insert text := coalesce(audit.write_body(t, 'insert', true), '');
  v_delete text := coalesce(audit.write_body(t, 'delete', true)
    || E'  perform set_config(''audit.departed'', '''', true);\n', '');
  v_update text := coalesce(audit.update_body(t), '');
  v_actor text := audit.read_actor();
  v_moving text := audit.read_move(t);
  v_variables text[] := audit.update_variables(t)
    || array['v_moving text', 'v_started boolean', 'v_move bigint', 'v_row text',
      'v_departed jsonb := nullif(current_setting(''audit.departed'', true), '''')::jsonb'];
  v_columns text[];
  v_stay text;
  v_columns_of_row text;
begin
  select r.partition_columns into v_columns from audit.table_trait(t.target) as r;
  select string_agg(format('old.%1$s %2$s new.%1$s', c.ident, audit.equality_of(c.declared_type)),
      ' and ' order by c.number)
    into v_stay
    from audit.columns_of(t.target) as c where c.is_key and c.name <> all (v_columns);
  select string_agg(case when a.attgenerated = 'v' then 'null' else format('old.%I', a.attname) end,
      ', ' order by a.attnum)
    into v_columns_of_row
    from pg_attribute as a
    where a.attrelid = t.target and a.attnum > 0 and not a.attisdropped;

  compiled := audit.add_trigger(compiled, t, 'insert', 'after insert', null,
    audit.compile_function(t, 'insert', v_variables, v_moving || v_actor || format(
E'  if v_row is not null then
    perform set_config(%1$s, v_move || '':'', true);
    declare
      old %2$s := v_row::%2$s;
    begin
      if %3$s then
%4$s        return null;
      end if;
%5$s    end;
  end if;
%6$s', v_setting, v_root, coalesce(v_stay, 'true'), v_update, v_delete, v_insert),
      true, v_all_settings));
  compiled := audit.add_trigger(compiled, t, 'delete', 'after delete', null,
    audit.compile_function(t, 'delete', v_variables, v_moving || v_actor || format(
E'  if v_moving is not null then
    perform set_config(%1$s, v_move || '':'' || row(%2$s)::%3$s::text, true);
    if v_row is null then
      return null;
    end if;
    declare
      old %3$s := v_row::%3$s;
    begin
%4$s    end;
    return null;
  end if;
%4$s', v_setting, v_columns_of_row, v_root, v_delete), true, v_all_settings));
  compiled := audit.add_trigger(compiled, t, 'update', 'after update' || audit.update_list(t), null,
    case when v_update <> '' then
      audit.compile_function(t, 'update', audit.update_variables(t), v_update,
        true, settings) end);
  compiled := audit.add_trigger(compiled, t, 'cascade', 'after delete', null,
    audit.departed_function(t, true, settings));
  return audit.compile_moves(t, compiled, v_variables, v_setting, v_root, v_moving, v_actor || v_delete,
    v_all_settings);
end;
$$;

revoke all on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) from public;

comment on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) is
  'The functions and triggers that the declaration of a partitioned table compiles to.';
