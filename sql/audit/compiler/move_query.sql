-- By what an item is known on one side of an UPDATE: its account, where it has one alone, its id and
-- that of its parent.
create or replace function audit.move_query(t audit.tracked, row_sql audit.row_sql)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('(select array[%s, %s, %s]::text[]%s)',
    case when t.accounts is null then row_sql.account else 'null' end,
    row_sql.item_id, row_sql.parent_id,
    case when j.joins <> '' then ' from (select) as here' || j.joins else '' end)
  from audit.lookup_join(t, row_sql.names, false) as j (joins)
$$;

revoke all on function audit.move_query(audit.tracked, audit.row_sql) from public;

comment on function audit.move_query(audit.tracked, audit.row_sql) is
  'SQL for what an item is known by: account, id and parent.';
