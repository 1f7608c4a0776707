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
comment on column audit.undo_net.place is 'Place in the order of doing.';
comment on column audit.undo_net.target is 'The table.';
comment on column audit.undo_net.was_there is 'Whether the row was there before.';
comment on column audit.undo_net.stayed is 'Whether it was there after.';
comment on column audit.undo_net.old_key is 'Primary key before.';
comment on column audit.undo_net.new_key is 'Primary key after.';
comment on column audit.undo_net.old_values is 'Values before, by the numbers of columns.';
comment on column audit.undo_net.new_values is 'Values after, by the numbers of columns.';
comment on column audit.undo_net.present is 'Values of now; null where the row is not there.';
comment on column audit.undo_net.missing is 'Columns whose values the log does not hold, and why.';
comment on column audit.undo_net.conflicts is 'What was changed since by others.';
comment on column audit.undo_net.problem is 'Why nothing can be undone; null where it can.';
