-- Which layout a tracked table writes now; compiled functions name it. It is always the newest one of
-- its declaration: a table that is again as it once was has a new one.
create or replace function audit.layout_of(t audit.tracked)
  returns integer
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select y.id
  from audit.layout as y
  where y.id = (select max(n.id) from audit.layout as n where n.tracked_id = t.id)
    and y.table_name = audit.name_of(t.target)
    and y.columns = audit.layout_columns(t)
    and y.secret = audit.secret_columns(t)
    and y.secret_numbers = audit.secret_numbers(t)
    and y.numbers = audit.column_numbers(t.target)
    and y.relation = t.target
$$;

revoke all on function audit.layout_of(audit.tracked) from public;

comment on function audit.layout_of(audit.tracked) is
  'The number of the layout of a tracked table as it is now; null where it has none yet.';
