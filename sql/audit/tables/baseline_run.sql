-- How far the baseline of a table is: what lets it go on where it was broken off.
create table audit.baseline_run (
  tracked_id integer not null,
  layout     integer not null,
  era        integer not null,
  inputs     text not null default '',
  phase      text collate "C" not null default 'rows',
  reached    text,
  since      bigint not null,
  astray     bigint not null default 0,
  told       bigint not null default 0,
  began_at   timestamptz not null default clock_timestamp(),
  done_at    timestamptz,
  constraint baseline_run_pkey primary key (tracked_id),
  constraint baseline_run_phase_check check (phase in ('rows', 'rest', 'last', 'done'))
);

revoke all on audit.baseline_run from public;

comment on table audit.baseline_run is
  'One row for each table whose rows were told by audit.baseline(), or are being told.';
comment on column audit.baseline_run.tracked_id is 'Number of the declaration.';
comment on column audit.baseline_run.layout is 'The layout that rows are told in.';
comment on column audit.baseline_run.era is 'The era that transaction ids count in.';
comment on column audit.baseline_run.inputs is
  'What its functions were made of: audit.tracked.inputs, and the owner of the table.';
comment on column audit.baseline_run.phase is
  'rows while the table is gone through by key; rest while those are looked at that others held; '
  'last while those are that were written meanwhile, for their key may have changed; done.';
comment on column audit.baseline_run.reached is
  'The key that was reached, as the text of an array of its columns.';
comment on column audit.baseline_run.since is
  'From which transaction id on rows may have been written that were not looked at.';
comment on column audit.baseline_run.astray is
  'How many of the rows that were written meanwhile may have got another key since they were '
  'found: while there are any, it looks again.';
comment on column audit.baseline_run.told is 'How many rows of the log were written.';
comment on column audit.baseline_run.began_at is 'When it began.';
comment on column audit.baseline_run.done_at is 'When it was done; null while it is not.';
