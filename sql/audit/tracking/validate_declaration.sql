-- A declaration is tried on the table before anything is compiled from it.
create or replace function audit.validate_declaration(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_row audit.row_sql;
  v_problem text;
  v_query text;
begin
  if jsonb_typeof(t.lookups) <> 'object' then
    raise exception 'invalid declaration of %: lookups is an object {"alias": "column"}', t.target
      using errcode = 'UA005';
  end if;
  select coalesce(
      (select format('there is no column %s to be operational or secret', quote_ident(c))
       from unnest(t.operational || t.secret) as c
       where not exists (select from pg_attribute as a
                         where a.attrelid = t.target and a.attname = c and a.attnum > 0
                           and not a.attisdropped)
       limit 1),
      (select format('the lookup %s has no foreign key to follow (%s)', e.key, e.value)
       from jsonb_each_text(t.lookups) as e
       where e.key not in (select l.alias from audit.lookup_of(t) as l) limit 1),
      audit.problem_of_rules(t))
    into v_problem;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %', t.target, v_problem
      using errcode = 'UA005';
  end if;

  v_row := audit.bind_row(t, 'new', false);
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
    cross join lateral audit.rule_of(t, e.event) as r
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

revoke all on function audit.validate_declaration(audit.tracked) from public;

comment on function audit.validate_declaration(audit.tracked) is
  'Raises an error that says what is wrong with a declaration.';
