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
comment on column audit.undo_row.place is 'Place in the order of doing.';
comment on column audit.undo_row.layout is 'Which layout the row of the table had.';
comment on column audit.undo_row.row_values is 'All columns of a created or deleted row, as a record of the layout.';
comment on column audit.undo_row.changes is 'Changed columns, each with old and new.';
comment on column audit.undo_row.is_deleted is 'Whether the action deleted rows.';
comment on column audit.undo_row.action is 'What was done.';
comment on column audit.undo_row.item_type is 'Kind of the item.';
comment on column audit.undo_row.item_id is 'Id of the item.';
comment on column audit.undo_row.parent_id is 'Id of the parent of the item.';
comment on column audit.undo_row.account_id is 'Account of the row.';
