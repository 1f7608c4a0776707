-- Remembers which partitions were put to rest, so that maintenance does it once.
create table audit.closed_partition (
  partition   text        collate "C" not null,
  lower_bound timestamptz not null,
  upper_bound timestamptz not null,
  closed_at   timestamptz not null default clock_timestamp(),
  item_types     text[] collate "C" not null default '{}',
  parent_columns text[] collate "C" not null default '{}',
  constraint closed_partition_pkey primary key (partition)
);

revoke all on audit.closed_partition from public;

comment on table audit.closed_partition is
  'Partitions of the log whose time is over and that are frozen, reindexed and summarised in '
  'audit.presence and audit.belonging. A row that comes into one all the same takes it off this '
  'list.';
comment on column audit.closed_partition.partition is 'Name of the partition in schema audit.';
comment on column audit.closed_partition.lower_bound is 'Time from which on its rows are.';
comment on column audit.closed_partition.upper_bound is 'Time before which its rows are.';
comment on column audit.closed_partition.closed_at is 'When it was put to rest.';
comment on column audit.closed_partition.item_types is 'The kinds of items that it has rows of.';
comment on column audit.closed_partition.parent_columns is
  'What audit.parent_columns() said when audit.belonging was worked out, each as text.';
