-- The rows that are still to be looked at, after the others.
create table audit.baseline_key (
  tracked_id integer not null,
  key        text collate "C" not null,
  constraint baseline_key_pkey primary key (tracked_id, key)
);

revoke all on audit.baseline_key from public;

comment on table audit.baseline_key is
  'One row for each row that a baseline has yet to look at: another transaction held it, or it was '
  'changed while the baseline ran.';
comment on column audit.baseline_key.tracked_id is 'Number of the declaration.';
comment on column audit.baseline_key.key is
  'Key of the row, as the text of an array of its columns.';
