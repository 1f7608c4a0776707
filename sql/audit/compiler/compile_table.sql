-- A declaration becomes functions and triggers: this says which, and with what text.
--
-- In goes a row of audit.tracked: what audit.track() was told of a table, or what audit.refresh()
-- made of that after DDL. Out comes an audit.compiled: the text of each function and trigger, which
-- audit.install_compiled() then puts in place. In between nothing is written: every step reads the
-- declaration and the catalogue, and returns SQL as text. The steps:
--
-- 1. What the table is like. columns_of and audited_columns: its columns, which get into compiled
--    text through presented and difference alone, with the SQL that shows them (json_value,
--    text_value, record_value). rules_of: the actions of an event. lookups_of and cascades_of: which
--    other tables are asked, and who may read those (reader_of). table_trait: whether it is
--    partitioned, and which triggers of its own it has.
-- 2. What the expressions mean. tokens_of takes one apart, row_names says what a name stands for,
--    bind_expression puts that in, or calls the function that keeps what foreign names mean
--    (bound_function); bind_text makes text of it. bind_row does so for all that the log keeps of a
--    row: audit.row_sql. reader_functions: what other tables are read by, where not in place.
-- 3. A body for each event. write_body: rows that came or went, a whole statement at once.
--    update_body, with update_insert: a row that changed, each column in the variable of the action
--    that takes it. merge_body and group_body: one row of the log for each item, however many of its
--    parts a statement touched. departed_body: what deleted rows look up, fetched before it is gone.
--    All but the last end in insert_log.
-- 4. The frame. compile_function puts around a body its variables, the settings that its values
--    depend on (settings_for) and the guard is_current, which raises an error where the table is not
--    as fingerprint saw it. add_trigger adds the function and its trigger to the result.
-- 5. Partitioned tables have row triggers alone (add_row_trigger), and rows that move from one
--    partition to another: compile_partitioned, compile_moves.
--
-- For example, in a database that has nothing but schema audit,
--
--   create table public.note (id integer primary key, title text);
--   select audit.track('public.note', item_label => 'title',
--     actions => '[{"action": "renamed", "on": "update", "columns": ["title"]}]');
--
-- compiles to this function, but for the number of the table, and the trigger "_audit_update after
-- update of title on public.note for each row":
--
--   CREATE OR REPLACE FUNCTION audit.public_note_update()
--    RETURNS trigger
--    LANGUAGE plpgsql
--    SECURITY DEFINER
--    SET search_path TO 'pg_catalog', 'pg_temp'
--    SET row_security TO 'on'
--   AS $function$
--   -- Compiled from the declaration of public.note (audit.tracked); audit.refresh() compiles it anew.
--   #variable_conflict use_column
--   <<_audit>>
--   declare
--     v_current constant boolean := audit.is_current(1, '62cc73c695eb', '16384'::regclass);
--     v_actor text := current_setting('audit.actor', true);
--     v_actor_type text;
--     v_actor_id text;
--     v_actor_label text;
--     v_context jsonb;
--     v_on_behalf_of_type text;
--     v_on_behalf_of_id text;
--     v_on_behalf_of_label text;
--     v_account_id text;
--     v_item_id text;
--     v_item_label text;
--     v_was text[];
--     v_is text[];
--     v_moved jsonb;
--     v_renamed_changes jsonb;
--   begin
--     if old."title" is distinct from audit.as_compiled(new."title", null::pg_catalog.text) then
--       v_renamed_changes := jsonb_set(coalesce(v_renamed_changes, '{}'), '{title}', jsonb_object(array['old', audit.as_compiled(old."title", null::pg_catalog.text), 'new', audit.as_compiled(new."title", null::pg_catalog.text)]::text[]));
--     end if;
--     if old."id" is distinct from audit.as_compiled(new."id", null::pg_catalog.int4) then
--       v_was := (select array['', audit.as_compiled(old."id", null::pg_catalog.int4)::text, (null)::text]::text[]);
--       v_is := (select array['', audit.as_compiled(new."id", null::pg_catalog.int4)::text, (null)::text]::text[]);
--       if v_was is distinct from v_is then
--         v_moved := audit.moved_identity('from', v_is, v_was);
--       end if;
--       if v_renamed_changes is not null then
--         if split_part(v_actor, chr(31), 1) = extract(epoch from current_timestamp)::text then
--           v_actor_type := split_part(v_actor, chr(31), 2);
--           v_actor_id := split_part(v_actor, chr(31), 3);
--           v_actor_label := nullif(split_part(v_actor, chr(31), 4), '');
--           if split_part(v_actor, chr(31), 5) <> ''
--             or v_actor_id = '' or v_actor_type in ('', 'database')
--           then
--             if v_actor_id = '' or v_actor_type in ('', 'database') then
--               v_actor_type := 'database';
--               v_actor_id := session_user;
--               v_actor_label := null;
--             elsif split_part(v_actor, chr(31), 5) like ' {%' then
--               v_context := split_part(v_actor, chr(31), 5)::jsonb;
--             else
--               v_context := case when split_part(v_actor, chr(31), 5) = '  null' then null
--                 when split_part(v_actor, chr(31), 5) like '  {%' then split_part(v_actor, chr(31), 5)::jsonb
--                 else audit.context_of(split_part(v_actor, chr(31), 5)) end;
--               if split_part(v_actor, chr(31), 6) <> all ('{"",database}')
--                 and split_part(v_actor, chr(31), 7) <> ''
--               then
--                 v_on_behalf_of_type := split_part(v_actor, chr(31), 6);
--                 v_on_behalf_of_id := split_part(v_actor, chr(31), 7);
--                 v_on_behalf_of_label := nullif(split_part(v_actor, chr(31), 8), '');
--               end if;
--             end if;
--           end if;
--         else
--           v_actor_type := 'database';
--           v_actor_id := session_user;
--         end if;
--         v_item_id := audit.as_compiled(new."id", null::pg_catalog.int4)::text;
--         v_item_label := audit.as_compiled(new."title", null::pg_catalog.text)::text;
--         insert into audit.log (
--           account_id, action, item_type, item_id, item_label, parent_type, parent_id,
--           actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
--           db_role, application, is_cascade, is_deleted, layout, row_values, changes, context, moved
--         )
--         select
--           '',
--           'renamed',
--           'note',
--           _audit.v_item_id,
--           _audit.v_item_label,
--           null,
--           (null)::text,
--           _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
--           _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
--           session_user,
--           current_setting('application_name'),
--           false,
--           false,
--           1,
--           null,
--           _audit.v_renamed_changes,
--           _audit.v_context,
--           _audit.v_moved;
--         if v_moved is not null then
--           insert into audit.log (
--             account_id, action, item_type, item_id, item_label, parent_type, parent_id,
--             actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
--             db_role, application, is_cascade, is_deleted, layout, row_values, changes, context, moved
--           )
--           select
--             '',
--             'renamed',
--             'note',
--             audit.as_compiled(old."id", null::pg_catalog.int4)::text,
--             audit.as_compiled(old."title", null::pg_catalog.text)::text,
--             null,
--             (null)::text,
--             _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
--             _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
--             session_user,
--             current_setting('application_name'),
--             false,
--             false,
--             1,
--             null,
--             _audit.v_renamed_changes,
--             _audit.v_context,
--             audit.moved_identity('to', _audit.v_was, _audit.v_is);
--         end if;
--         v_renamed_changes := null;
--       end if;
--     end if;
--     if v_renamed_changes is not null then
--       if split_part(v_actor, chr(31), 1) = extract(epoch from current_timestamp)::text then
--         v_actor_type := split_part(v_actor, chr(31), 2);
--         v_actor_id := split_part(v_actor, chr(31), 3);
--         v_actor_label := nullif(split_part(v_actor, chr(31), 4), '');
--         if split_part(v_actor, chr(31), 5) <> ''
--           or v_actor_id = '' or v_actor_type in ('', 'database')
--         then
--           if v_actor_id = '' or v_actor_type in ('', 'database') then
--             v_actor_type := 'database';
--             v_actor_id := session_user;
--             v_actor_label := null;
--           elsif split_part(v_actor, chr(31), 5) like ' {%' then
--             v_context := split_part(v_actor, chr(31), 5)::jsonb;
--           else
--             v_context := case when split_part(v_actor, chr(31), 5) = '  null' then null
--               when split_part(v_actor, chr(31), 5) like '  {%' then split_part(v_actor, chr(31), 5)::jsonb
--               else audit.context_of(split_part(v_actor, chr(31), 5)) end;
--             if split_part(v_actor, chr(31), 6) <> all ('{"",database}')
--               and split_part(v_actor, chr(31), 7) <> ''
--             then
--               v_on_behalf_of_type := split_part(v_actor, chr(31), 6);
--               v_on_behalf_of_id := split_part(v_actor, chr(31), 7);
--               v_on_behalf_of_label := nullif(split_part(v_actor, chr(31), 8), '');
--             end if;
--           end if;
--         end if;
--       else
--         v_actor_type := 'database';
--         v_actor_id := session_user;
--       end if;
--       v_item_id := audit.as_compiled(new."id", null::pg_catalog.int4)::text;
--       v_item_label := audit.as_compiled(new."title", null::pg_catalog.text)::text;
--       insert into audit.log (
--         account_id, action, item_type, item_id, item_label, parent_type, parent_id,
--         actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
--         db_role, application, is_cascade, is_deleted, layout, row_values, changes, context
--       )
--       select
--         '',
--         'renamed',
--         'note',
--         _audit.v_item_id,
--         _audit.v_item_label,
--         null,
--         (null)::text,
--         _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
--         _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
--         session_user,
--         current_setting('application_name'),
--         false,
--         false,
--         1,
--         null,
--         _audit.v_renamed_changes,
--         _audit.v_context;
--     end if;
--     return null;
--   end;
--   $function$
create or replace function audit.compile_table(t audit.tracked)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_trait record;
  v_settings text[] := audit.settings_for(t, false);
  v_row_settings text[] := audit.settings_for(t, true);
  v_insert_by_row boolean;
  v_delete_by_row boolean;
  -- Where all columns are operational, no update is an action.
  v_has_columns boolean := exists (select from audit.audited_columns(t));
  v_result audit.compiled;
begin
  v_result.name := audit.name_of(t.target);
  v_result.fingerprint := audit.fingerprint(t);
  select coalesce(jsonb_object_agg(f.name, f.ddl), '{}'),
      coalesce(jsonb_object_agg(f.name, f.reader) filter (where f.reader is not null), '{}')
        || jsonb_build_object(t.slug || '_cascade', audit.departed_reader(t),
          t.slug || '_cascade_row', audit.departed_reader(t))
    into v_result.functions, v_result.owners
    from (
      select r.name, r.ddl, r.reader from audit.reader_functions(t) as r
      union all
      select b.name, b.ddl, null from audit.bound_functions(t) as b
    ) as f;
  v_result.triggers := jsonb_build_object('_audit_truncate', format(
    'after truncate on %s for each statement execute function audit.log_truncate(%L, %L)',
    t.target, t.on_truncate, v_result.name));
  select * into strict v_trait from audit.table_trait(t.target);
  if v_trait.is_partitioned then
    return audit.compile_partitioned(t, v_settings, v_result);
  end if;
  if not audit.follows_ddl() then
    v_result.triggers := v_result.triggers || jsonb_build_object('_audit_alone', format(
      'after delete on %s referencing old table as old_rows for each row when (false) '
      'execute function audit.stand_alone()', t.target));
  end if;
  -- A trigger of the application that runs row by row would be logged before its cause.
  v_insert_by_row := v_trait.has_after_insert;
  v_delete_by_row := v_trait.has_after_delete;

  v_result := audit.add_trigger(v_result, t, 'insert', 'after insert',
    case when not v_insert_by_row then 'new table as new_rows' end,
    audit.write_function(t, 'insert', v_insert_by_row, v_row_settings));
  if v_has_columns and (select bool_or(r.is_grouped) from audit.rules_of(t, 'update') as r) then
    v_result := audit.add_trigger(v_result, t, 'update', 'after update',
      'old table as old_rows new table as new_rows',
      audit.compile_function(t, 'update',
        audit.actor_variables(),
        audit.read_actor() || audit.merge_body(t), true, v_row_settings));
  elsif v_has_columns and exists (select from audit.rules_of(t, 'update')) then
    v_result := audit.add_trigger(v_result, t, 'update', 'after update' || audit.update_list(t), null,
      audit.compile_function(t, 'update', audit.update_variables(t), audit.update_body(t),
        audit.reads_inline(t, 'update'), v_settings));
  end if;
  v_result := audit.add_trigger(v_result, t, 'cascade', 'after delete',
    case when not v_delete_by_row then 'old table as old_rows' end,
    audit.departed_function(t, v_delete_by_row, v_settings));
  v_result := audit.add_trigger(v_result, t, 'delete', 'after delete',
    case when not v_delete_by_row then 'old table as old_rows' end,
    audit.write_function(t, 'delete', v_delete_by_row, v_row_settings));
  return v_result;
end;
$$;

revoke all on function audit.compile_table(audit.tracked) from public;

comment on function audit.compile_table(audit.tracked) is
  'The functions and triggers, by name, that a declaration compiles to.';
