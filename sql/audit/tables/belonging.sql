-- What belonged to what in closed partitions: everything under an item is then found without
-- reading the rows of its whole account.
create table audit.belonging (
  parent_id   text collate "C" not null,
  parent_type text collate "C" not null,
  account_id  text collate "C" not null,
  item_type   text collate "C" not null,
  item_id     text collate "C" not null,
  partition   text collate "C" not null,
  constraint belonging_pkey
    primary key (parent_id, parent_type, account_id, item_type, item_id, partition)
);

revoke all on audit.belonging from public;

alter table audit.belonging enable row level security;

create policy account_policy on audit.belonging for select
  using (account_id = coalesce(current_setting('audit.account_id', true), '')
    and not audit.has_own_policies());

comment on table audit.belonging is
  'Summary of closed partitions: which items belonged to which, as the rows there tell. Worked out '
  'from the log when a partition is closed; audit.tree_log() reads it.';
comment on column audit.belonging.parent_id is 'Id of the item that the other belonged to.';
comment on column audit.belonging.parent_type is 'Kind of the item that the other belonged to.';
comment on column audit.belonging.account_id is 'Account of the rows that tell it.';
comment on column audit.belonging.item_type is 'Kind of the item that belonged to it.';
comment on column audit.belonging.item_id is 'Id of the item that belonged to it.';
comment on column audit.belonging.partition is 'Name of the partition in schema audit.';
