-- The second row of an UPDATE after which a row of the table is another item, or one of another
-- account or parent: it is about the item as it was.
create or replace function audit.moved_insert(
  t audit.tracked, action text, changes text, old_side text
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'  if %s is not null then\n%s  end if;\n',
    case when t.accounts is null then 'v_moved' else 'v_was' end,
    audit.indent(audit.insert_log(t, w.row_sql, quote_literal(action),
      audit.part_changes(t, w.row_sql,
        concat_ws(' || ', audit.part_identity(t, old_side), changes)),
      'false', '',
      -- Accounts that the item is still of have the other row.
      case when t.accounts is null then '' else format(
        '_audit.v_moved is not null'
        ' or _audit_account.id is not null and _audit_account.id::text not in ('
        'select _audit_n.id::text from %s as _audit_n (id) where _audit_n.id is not null)',
        audit.account_query(t, audit.row_names(t, 'new'))) end,
      moved => 'audit.moved_identity(''to'', _audit.v_was, _audit.v_is)'), 2))
  from (select audit.bind_row(t, old_side, false) as row_sql) as w
$$;

revoke all on function audit.moved_insert(audit.tracked, text, text, text) from public;

comment on function audit.moved_insert(audit.tracked, text, text, text) is
  'Statement that tells an item as it was that it is known otherwise now.';
