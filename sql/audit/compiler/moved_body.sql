-- What an UPDATE does of the columns that an item is known by. All of them are asked for at once, and
-- after all others: whoever changes none of them pays for no more. Where one changed, the actions are
-- written here, by a row about the item as it is now, which says from where, and one about the item
-- as it was, which says where to.
create or replace function audit.moved_body(
  t audit.tracked, assignments text, row_sql audit.row_sql, step integer, old_side text
)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_was audit.row_sql := audit.bind_row(t, old_side, false);
  v_differs text;
  v_inserts text;
begin
  select string_agg(audit.difference(c.declared_type, c.is_plain and old_side = 'old',
      case old_side when 'old' then 'old.' || c.field else v_was.names ->> c.name end,
      case old_side when 'old' then 'new.' || c.field else row_sql.names ->> c.name end),
      E'\n    or ' order by c.number)
    into v_differs
    from audit.columns_of(t.target) as c
    where c.name in (select audit.identity_columns(t));
  select string_agg(audit.update_insert(t, row_sql, r.action, step, old_side, true), ''
                    order by r.number)
    into v_inserts
    from (select u.action, min(u.number) as number
          from audit.rules_of(t, 'update', old_side) as u group by 1) as r;
  return format(E'  if %s then\n%s  end if;\n', v_differs, assignments
    || audit.indent(format(
E'  v_was := %s;
  v_is := %s;
  if v_was is distinct from v_is then
    v_moved := audit.moved_identity(''from'', v_is, v_was);
  end if;
', audit.move_query(t, v_was), audit.move_query(t, row_sql)) || v_inserts, 2 * step));
end;
$$;

revoke all on function
  audit.moved_body(audit.tracked, text, audit.row_sql, integer, text) from public;

comment on function audit.moved_body(audit.tracked, text, audit.row_sql, integer, text) is
  'Statements of an UPDATE for the columns that an item is known by.';
