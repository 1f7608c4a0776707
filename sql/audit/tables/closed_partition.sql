-- Remembers which partitions were put to rest, so that maintenance does it once.
create table audit.closed_partition (
  partition   text        collate "C" not null,
  lower_bound timestamptz not null,
  upper_bound timestamptz not null,
  closed_at   timestamptz not null default clock_timestamp(),
  constraint closed_partition_pkey primary key (partition)
);

revoke all on audit.closed_partition from public;

comment on table audit.closed_partition is
  'Partitions of the log whose time is over and that are frozen, reindexed and summarised in '
  'audit.presence. A row that comes into one all the same takes it off this list.';
comment on column audit.closed_partition.partition is 'Name of the partition in schema audit.';
comment on column audit.closed_partition.lower_bound is 'Time from which on its rows are.';
comment on column audit.closed_partition.upper_bound is 'Time before which its rows are.';
comment on column audit.closed_partition.closed_at is 'When it was put to rest.';
