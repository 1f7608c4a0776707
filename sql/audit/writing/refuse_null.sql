-- Refuses a write of a row that the declaration finds no item for. The row itself is not told: it may
-- hold secrets.
create or replace function audit.refuse_null(name text, expression text)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'a row of % has no item: its item_id, %, is null', refuse_null.name,
    refuse_null.expression
    using errcode = 'UA005',
      hint = 'Write a row for which it is not null, or declare an item_id that never is, such as a '
        'column of the primary key: audit.track(..., item_id => ...).';
end;
$$;

revoke all on function audit.refuse_null(text, text) from public;

comment on function audit.refuse_null(text, text) is
  'Raises the error for a row whose item_id is null.';
