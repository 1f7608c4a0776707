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
