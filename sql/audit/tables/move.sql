-- UPDATEs of partitioned tables while they run, and the rows that they are moving. A setting says
-- where to look; what is found in here, which no writer can make, is all that triggers believe.
create unlogged table audit.move (
  id         bigint  not null
    default (date_part('epoch', clock_timestamp()) * 1024000000)::bigint + pg_backend_pid(),
  tracked_id integer not null,
  pid        integer not null default pg_backend_pid(),
  enclosing  text,
  statement  bigint,
  relation   oid,
  -- As text: tools that read schemas do not know tid.
  place      text,
  new_key    text[],
  row_values text[],
  constraint move_pkey primary key (pid, id)
);

create index move_place on audit.move (pid, relation, place);

revoke all on audit.move from public;

comment on table audit.move is
  'One row for each running UPDATE that may move rows between partitions, and one for each row that '
  'it moves; empty at rest.';
comment on column audit.move.id is 'Number of the statement or of the row that moves.';
comment on column audit.move.tracked_id is 'The partitioned table.';
comment on column audit.move.pid is 'The session.';
comment on column audit.move.enclosing is
  'Of a statement: the setting as it was before, in a statement around this one.';
comment on column audit.move.statement is 'Of a row that moves: the number of its statement.';
comment on column audit.move.relation is 'Of a row that moves: the partition that it leaves.';
comment on column audit.move.place is 'Of a row that moves: where it lies there.';
comment on column audit.move.new_key is 'Of a row that moves: the key that it will have.';
comment on column audit.move.row_values is
  'Of a row that has left its partition: its columns as text, until it arrives.';
