-- UPDATE of parts whose action is one row for each item and statement.
create or replace function audit.merge_body(t audit.tracked)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_row audit.row_sql := audit.bind_row(t, 'merged', false);
  v_old jsonb := audit.row_names(t, 'old');
  v_new jsonb := audit.row_names(t, 'new');
  v_rule record;
  v_key text;
  v_pairs text;
  v_differences text;
begin
  select * into strict v_rule from audit.rules_of(t, 'update') as r where r.is_grouped;
  -- Old and new row are the same part while neither its key nor its item changed, nor whose that is: else
  -- it left the one and came to the other, and both are told. A full join can only hash or merge: a
  -- plan made for one row stays linear for a hundred thousand.
  select (array_agg(c.name order by c.number) filter (where c.is_key))[1],
      string_agg(case when c.is_key or c.name in (select audit.names_in(t.item_id))
          then format('%1$s %2$s %3$s', v_old ->> c.name, audit.equality_of(c.type),
            v_new ->> c.name)
          else format('coalesce(%s, '''') = coalesce(%s, '''')',
            audit.text_value(c.type, v_old ->> c.name), audit.text_value(c.type, v_new ->> c.name))
          end, ' and ' order by c.number)
    into v_key, v_pairs
    from audit.columns_of(t.target) as c
    where c.is_key or c.name in (select audit.identity_columns(t));
  select string_agg(format('case when %s then jsonb_build_object(%L, %s) else ''{}'' end',
      a.differs, a.name, a.both_entry), E'\n            || ' order by a.number)
    into v_differences
    from audit.audited_columns(t) as a
    where v_rule.columns is null or a.name = any (v_rule.columns);
  return audit.group_body(t, v_row, quote_literal(v_rule.action),
    format(E'case
            when %1$s is null then %2$s
            when %6$s is null then %3$s
            else %4$s nullif(%5$s, ''{}'')
          end', v_new ->> v_key, audit.row_changes(t, 'old'), audit.row_changes(t, 'new'),
      coalesce(audit.part_identity(t) || ' ||', ''), v_differences,
      v_old ->> v_key),
    'false', format('old_rows as old full join new_rows as new on %s', v_pairs),
    coalesce(v_rule.condition, ''));
end;
$$;

revoke all on function audit.merge_body(audit.tracked) from public;

comment on function audit.merge_body(audit.tracked) is
  'Body of the compiled function for UPDATE where an action is one row per item and statement.';
