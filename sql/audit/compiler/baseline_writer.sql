-- The function that writes rows of a baseline: what audit.baseline_reader() shows, told as a
-- created row would be, without those that the log has whole already. Rows are told one by one,
-- also where their actions are grouped.
create or replace function audit.baseline_writer(t audit.tracked)
  returns table (name text, ddl text)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_name constant text := t.slug || '_baseline_write';
  v_row audit.row_sql := audit.bind_row(t, 'new', false);
  v_prefix text := coalesce(t.part, (
    select t.item_type
    from jsonb_array_elements(t.actions) as r
    cross join audit.table_trait(t.target) as i
    where (r -> 'grouped')::boolean and not i.is_partitioned and not i.has_after_insert
    limit 1)) || '/';
  v_record text := case when v_prefix is null then audit.row_record(t, 'new') end;
  v_changes text := audit.row_changes(t, 'new');
  v_key text := 'null';
  v_body text;
begin
  if v_prefix is not null or t.item_id is not null then
    -- Several rows may be of one item: then the key tells which of them the log has.
    select case when bool_and(a.name is not null) then format(
        case when v_record is null
          then '(select jsonb_build_array(%s) from (select %s) as _audit_c (c))'
          else '(select jsonb_build_array(%s) from audit.record_values(%s, %s) as _audit_c (c))'
          end,
        string_agg(case when v_record is null then format('c -> %L -> ''new''', k.name)
          else format('c[%s]', a.place) end, ', ' order by k.place),
        case when v_record is null then v_changes else t.layout::text end, v_record) end
      into v_key
      from audit.baseline_key_columns(t) as k
      left join (
        select c.name, row_number() over (order by c.number) as place
        from audit.columns_of(t.target) as c
        where c.name <> all (t.operational) and c.name <> all (t.secret)
      ) as a on a.name = k.name;
  end if;
  if v_prefix is not null then
    v_changes := format(
      E'(select jsonb_object_agg(%L || %s || ''/'' || _audit_c.key, _audit_c.value)'
      '\n     from jsonb_each(%s) as _audit_c)', v_prefix, v_row.part_name, v_changes);
  end if;
  v_body := format(
E'  with _audit_row as materialized (
    select * from audit.%I($1, $2, $3)
  ), _audit_told as materialized (
    select * from audit.told_rows(%s, array(
      select distinct %s from _audit_row as new%s))
  )\n',
      t.slug || '_baseline_rows', t.id, v_row.item_id, v_row.joins)
    || audit.insert_log(t, v_row, quote_literal(t.item_type || '_baseline'),
      case when v_record is null then v_changes else 'null' end, 'false', '_audit_row as new',
      case when v_key is not null then format(
        'not exists (select from _audit_told as _audit_k where _audit_k.item_id = %s%s)',
        v_row.item_id, case v_key when 'null' then '' else ' and _audit_k.key = ' || v_key end)
        else '' end,
      v_record);
  return query values (v_name, format(
'create or replace function audit.%I(text, text, text[])
  returns bigint
  language plpgsql%s
  set enable_nestloop = off
  set plan_cache_mode = force_custom_plan
as %L',
    v_name, audit.function_settings(t, 'insert', v_body, true, audit.settings_for(t, true)), format(
'
-- Compiled from the declaration of %s (audit.tracked) by audit.baseline().
#variable_conflict use_column
<<_audit>>
declare
  v_current constant boolean := audit.is_current(%s, %L, %s);
  v_actor_type constant text := ''system'';
  v_actor_id constant text := ''baseline'';
  v_actor_label constant text := null;
  v_context constant jsonb := null;
  v_on_behalf_of_type constant text := null;
  v_on_behalf_of_id constant text := null;
  v_on_behalf_of_label constant text := null;
  v_told bigint;
begin
%s  get diagnostics v_told = row_count;
  perform pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true);
  return v_told;
end;
',
      translate(t.target::text, E'\n\r', '  '), t.id, audit.fingerprint(t),
      (select string_agg(format('%L::regclass', r::oid::text), ', ' order by n)
       from unnest(t.tables) with ordinality as u (r, n)),
      v_body)));
end;
$$;

revoke all on function audit.baseline_writer(audit.tracked) from public;

comment on function audit.baseline_writer(audit.tracked) is
  'The function, by name, that writes rows of a tracked table into the log as its baseline.';
