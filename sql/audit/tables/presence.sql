-- Which accounts and items have rows in which closed partition: after years of partitions an item is
-- found in the few that know it, and the others are neither planned for nor locked.
create table audit.presence (
  account_id text   collate "C" not null,
  item_type  text   collate "C" not null,
  item_id    text   collate "C" not null,
  partition  text   collate "C" not null,
  rows       bigint not null,
  constraint presence_pkey primary key (account_id, item_type, item_id, partition)
);

revoke all on audit.presence from public;

alter table audit.presence enable row level security;

create policy account_policy on audit.presence for select
  using (account_id = coalesce(current_setting('audit.account_id', true), '')
    and not audit.has_own_policies());

comment on table audit.presence is
  'Summary of closed partitions: how many rows of an account or an item each one has. Worked out '
  'from the log when a partition is closed; no row here means no row there.';
comment on column audit.presence.account_id is 'Account of the rows.';
comment on column audit.presence.item_type is
  'Kind of the item that the rows are about or have as parent; empty for all of the account.';
comment on column audit.presence.item_id is 'Id of the item; empty for all of the account.';
comment on column audit.presence.partition is 'Name of the partition in schema audit.';
comment on column audit.presence.rows is 'Number of its rows.';
