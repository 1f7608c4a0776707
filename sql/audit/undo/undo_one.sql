-- One statement of an undo, which is about one row.
create or replace function audit.undo_one(statement text)
  returns void
  language plpgsql
as $$
declare
  v_count pg_catalog.int8;
begin
  execute $1;
  get diagnostics v_count = row_count;
  if v_count operator(pg_catalog.<>) 1 then
    raise exception 'not undone: a statement changed % rows, not one', v_count
      using errcode = 'UA011', detail = $1;
  end if;
end;
$$;

revoke all on function audit.undo_one(text) from public;

comment on function audit.undo_one(text) is 'Runs a statement that changes one row.';
