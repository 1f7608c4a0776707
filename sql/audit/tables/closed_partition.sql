-- Remembers which partitions were put to rest, so that maintenance does it once.
create table audit.closed_partition (
  partition text collate "C" not null,
  closed_at timestamptz      not null default now(),
  constraint closed_partition_pkey primary key (partition)
);

revoke all on audit.closed_partition from public;

comment on table audit.closed_partition is
  'Partitions of the log whose time is over and that are frozen, summarised and reindexed.';
comment on column audit.closed_partition.partition is 'Name of the partition in schema audit.';
comment on column audit.closed_partition.closed_at is 'When it was put to rest.';
