-- The end of UPDATE, row by row: what an action collected is written.
create or replace function audit.update_insert(
  t audit.tracked, row_sql jsonb, action text, step integer
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'  if %s is not null then\n%s  end if;\n', v.changes, audit.indent(
    audit.read_actor()
    -- In a transaction of many statements a variable is cheaper than the same in the insert.
    || case when s.is_plain then format(
      E'  v_account_id := %s;\n  v_item_id := %s;\n  v_item_label := %s;\n',
      row_sql ->> 'account', row_sql ->> 'item_id', row_sql ->> 'item_label') else '' end
    || audit.insert_log(t,
      row_sql || case when s.is_plain then jsonb_build_object(
        'account', '_audit.v_account_id', 'item_id', '_audit.v_item_id',
        'item_label', '_audit.v_item_label') else '{}' end,
      quote_literal(action),
      audit.part_changes(t, row_sql, concat_ws(' || ', audit.part_identity(t), '_audit.' || v.changes)),
      'false', '', ''), 2 * step))
  from (select row_sql ->> 'joins' = '' as is_plain) as s
  cross join (select quote_ident('v_' || audit.short_name(action) || '_changes') as changes) as v
$$;

revoke all on function audit.update_insert(audit.tracked, jsonb, text, integer) from public;

comment on function audit.update_insert(audit.tracked, jsonb, text, integer) is
  'SQL that writes the row of the log for one action of an UPDATE.';
