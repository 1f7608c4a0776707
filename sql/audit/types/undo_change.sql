-- What one row of the log says of one row of a table. Values are texts by the numbers that the
-- columns have now, each as its type writes it under the settings of audit.undo_plan().
create type audit.undo_change as (
  place bigint,
  target oid,
  kind text,
  old_key text[],
  new_key text[],
  old_values jsonb,
  new_values jsonb,
  missing jsonb,
  problem text
);

comment on type audit.undo_change is
  'What a row of the log says of a row of a table: its place in the order of doing, insert, update '
  'or delete, keys and values before and after, columns whose values are missing, and why nothing '
  'can be undone.';
comment on column audit.undo_change.place is 'Place in the order of doing.';
comment on column audit.undo_change.target is 'The table.';
comment on column audit.undo_change.kind is 'insert, update or delete: what was done to the row.';
comment on column audit.undo_change.old_key is 'Primary key before; null where the row came.';
comment on column audit.undo_change.new_key is 'Primary key after; null where the row went.';
comment on column audit.undo_change.old_values is 'Values before, by the numbers of columns.';
comment on column audit.undo_change.new_values is 'Values after, by the numbers of columns.';
comment on column audit.undo_change.missing is 'Columns whose values the log does not hold, and why.';
comment on column audit.undo_change.problem is 'Why nothing can be undone; null where it can.';
