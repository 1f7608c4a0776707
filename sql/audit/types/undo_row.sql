-- What undoing needs of a row of the log.
create type audit.undo_row as (
  place bigint,
  layout integer,
  row_values text,
  changes jsonb,
  is_deleted boolean,
  action text,
  item_type text,
  item_id text,
  parent_id text,
  account_id text
);

comment on type audit.undo_row is
  'A row of the log that is undone, with its place in the order of doing.';
