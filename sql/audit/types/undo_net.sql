-- What became of one row of a table by all that is undone, and how it is there now.
create type audit.undo_net as (
  place bigint,
  target oid,
  was_there boolean,
  stayed boolean,
  old_key text[],
  new_key text[],
  old_values jsonb,
  new_values jsonb,
  present jsonb,
  missing jsonb,
  conflicts text[],
  problem text
);

comment on type audit.undo_net is
  'A row of a table before and after all that is undone, its present values, columns whose values '
  'are missing, conflicts, and why nothing can be undone.';
