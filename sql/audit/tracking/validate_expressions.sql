-- The expressions of a declaration are tried on the table, which reads no row.
create or replace function audit.validate_expressions(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_row audit.row_sql := audit.bind_row(t, 'new', false);
  v_query text;
begin
  -- Accounts are a query of one column: in a select list no other may stand.
  v_query := format('select %s, %s, %s, %s, %s%s from %s as new %s limit 0',
    v_row.item_id, v_row.item_label, v_row.account, v_row.parent_id,
    v_row.part_name, ', (' || t.accounts || ')', audit.name_of(t.target), v_row.joins);
  -- A condition has the rows that its event has, and no lookups; bare and in brackets, so that it
  -- is whole, and compared with a boolean, so that it is one.
  select v_query || coalesce(string_agg(format(
      '; select %2$s from %1$s where ((%2$s) is true) limit 0',
      case e.event when 'insert' then format('%s as new', audit.name_of(t.target))
        when 'delete' then format('%s as old', audit.name_of(t.target))
        else format('%1$s as old, %1$s as new', audit.name_of(t.target)) end,
      r.condition), ''), '')
    into v_query
    from (values ('insert'), ('update'), ('delete')) as e (event)
    cross join lateral audit.rules_of(t, e.event) as r
    where r.condition is not null;
  begin
    execute v_query;
  exception
    when syntax_error_or_access_rule_violation or data_exception then
      if sqlstate = '42501' then
        raise;
      end if;
      raise exception 'invalid declaration of %: %', t.target, sqlerrm
        using errcode = 'UA005',
          hint = 'Expressions name columns of the table, or alias.column of a lookup; conditions '
            'name old.column and new.column.';
  end;
end;
$$;

revoke all on function audit.validate_expressions(audit.tracked) from public;

comment on function audit.validate_expressions(audit.tracked) is
  'Raises an error that says what is wrong with the expressions of a declaration.';
