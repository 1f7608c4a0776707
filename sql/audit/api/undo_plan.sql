-- What it takes to undo a transaction, an event, or what was done to an item since a time: read
-- from the log and from the tables, with the rights of whoever asks.
create or replace function audit.undo_plan(
  tx bigint default null,
  era integer default null,
  event text default null,
  item_type text default null,
  item_id text default null,
  at timestamptz default null
)
  returns table (
    step integer,
    table_name text,
    key text,
    operation text,
    statement text,
    conflict text,
    restorable text,
    missing text[]
  )
  language sql
  set search_path = pg_catalog, pg_temp
as $$
  select s.step, s.table_name, s.key, s.operation, s.head || s.tail, s.conflict, s.restorable,
    s.missing
  from audit.undo_steps(tx, era, event, item_type, item_id, at) as s
$$;

revoke all on function audit.undo_plan(bigint, integer, text, text, text, timestamptz) from public;

comment on function audit.undo_plan(bigint, integer, text, text, text, timestamptz) is
  'Public. The statements that undo a transaction, an event, or what was done to an item since a '
  'time, in their order; conflicts with what was done since, and what cannot be restored.';
