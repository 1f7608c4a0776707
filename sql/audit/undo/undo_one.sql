-- One statement of an undo, which is about so many rows.
create or replace function audit.undo_one(statement text, expected integer)
  returns void
  language plpgsql
as $$
declare
  v_count pg_catalog.int8;
begin
  execute $1;
  get diagnostics v_count = row_count;
  if v_count operator(pg_catalog.<>) $2 then
    raise exception 'not undone: a statement changed % rows, not %', v_count, $2
      using errcode = 'UA011', detail = pg_catalog.left($1, 1000);
  end if;
end;
$$;

revoke all on function audit.undo_one(text, integer) from public;

comment on function audit.undo_one(text, integer) is
  'Runs a statement that changes so many rows.';
