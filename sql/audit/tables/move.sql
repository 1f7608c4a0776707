-- UPDATEs of partitioned tables while they run: a setting carries the row that is on its way, and
-- only a row in here, which no writer can make, lets the triggers believe the setting.
create unlogged table audit.move (
  id         bigint  not null
    default (date_part('epoch', clock_timestamp()) * 1024000000)::bigint + pg_backend_pid(),
  tracked_id integer not null,
  pid        integer not null default pg_backend_pid(),
  is_started boolean not null default false,
  constraint move_pkey primary key (pid, id)
);

revoke all on audit.move from public;

comment on table audit.move is
  'One row for each running UPDATE that may move rows between partitions; empty at rest.';
comment on column audit.move.id is 'Number of the statement, carried by the setting beside the row.';
comment on column audit.move.tracked_id is 'The partitioned table.';
comment on column audit.move.pid is 'The session.';
comment on column audit.move.is_started is 'Whether a row is on its way already.';
