-- The end of UPDATE, row by row: what an action collected is written.
create or replace function audit.update_insert(
  t audit.tracked, row_sql audit.row_sql, action text, step integer, old_side text,
  is_moved boolean default false
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'  if %s is not null then\n%s  end if;\n', v.changes, audit.indent(
    audit.read_actor()
    || coalesce(s.assignments, '')
    || audit.insert_log(t,
      jsonb_populate_record(row_sql, coalesce(s.variables, '{}')),
      quote_literal(action),
      audit.part_changes(t, row_sql,
        concat_ws(' || ', audit.part_identity(t, old_side), '_audit.' || v.changes)),
      'false', '', '', moved => case when is_moved then '_audit.v_moved' end)
    || case when is_moved then audit.moved_insert(t, action, '_audit.' || v.changes, old_side)
      || format(E'  %s := null;\n', v.changes) else '' end, 2 * step))
  from (
    -- In a transaction of many statements a variable is cheaper than the same in the insert; what
    -- reads nothing of the row is cheaper there.
    select
      string_agg(format(E'  v_%s := %s;\n', f.variable, f.value), '' order by f.field)
        as assignments,
      jsonb_object_agg(f.field, '_audit.v_' || f.variable) as variables
    from (
      values ('account', 'account_id', row_sql.account), ('item_id', 'item_id', row_sql.item_id),
        ('item_label', 'item_label', row_sql.item_label)
    ) as f (field, variable, value)
    where row_sql.joins = '' and f.value ~ '\mnew\.'
  ) as s
  cross join (select quote_ident('v_' || audit.short_name(action) || '_changes') as changes) as v
$$;

revoke all on function
  audit.update_insert(audit.tracked, audit.row_sql, text, integer, text, boolean) from public;

comment on function
  audit.update_insert(audit.tracked, audit.row_sql, text, integer, text, boolean) is
  'SQL that writes the row of the log for one action of an UPDATE.';
