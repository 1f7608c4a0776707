-- The log itself: written by compiled triggers only, never changed, partitioned by time.
-- What audit.events only computes with comes last: so a page that is sorted takes rows as they are
-- stored, and copies none but those it shows.
create table audit.log (
  -- Nothing is drawn from the writer's session: a sequence would change what lastval() says there.
  id          bigint           not null
    default (date_part('epoch', clock_timestamp()) * 1024000000)::bigint + pg_backend_pid(),
  tx          bigint           not null default txid_current(),
  occurred_at timestamptz      not null default clock_timestamp(),
  account_id  text collate "C" not null default '',
  action      text collate "C" not null,
  item_type   text collate "C" not null,
  item_id     text collate "C" not null,
  item_label  text,
  parent_type text collate "C",
  parent_id   text collate "C",
  actor_type  text collate "C" not null,
  actor_id    text collate "C" not null,
  actor_label text,
  on_behalf_of_type text collate "C",
  on_behalf_of_id text collate "C",
  on_behalf_of_label text,
  db_role     text collate "C" not null,
  application text             not null default '',
  is_cascade  boolean          not null default false,
  context     jsonb,
  moved       jsonb,
  era         smallint         not null default 1,
  layout      integer,
  row_values  text,
  changes     jsonb,
  is_deleted  boolean          not null default false
) partition by range (occurred_at);

-- Ids are compared as bytes: the same order in every engine, no index to rebuild with a new libc.
-- What discriminates comes first, so that comparing ends there. Hardly two entries are equal: a
-- search for equal ones to fold would find none.
create index log_page_idx on audit.log (account_id, occurred_at) with (deduplicate_items = off);

create index log_item_idx on audit.log (item_id, item_type, account_id, occurred_at)
  with (deduplicate_items = off);

create index log_parent_idx on audit.log (parent_id, parent_type, account_id, occurred_at)
  with (deduplicate_items = off)
  where parent_id is not null;

create index log_actor_idx on audit.log (actor_id, actor_type, account_id, occurred_at)
  with (deduplicate_items = off);

create index log_tx_idx on audit.log using brin (tx) with (pages_per_range = 128, autosummarize = on);

-- What belongs to an account stays out of the planner's statistics: its estimates, which EXPLAIN
-- shows to every reader, would tell of other accounts. The indexes need none to be chosen.
alter table audit.log
  alter column account_id set statistics 0,
  alter column item_id set statistics 0,
  alter column item_label set statistics 0,
  alter column parent_id set statistics 0,
  alter column actor_id set statistics 0,
  alter column actor_label set statistics 0,
  alter column on_behalf_of_id set statistics 0,
  alter column on_behalf_of_label set statistics 0,
  alter column row_values set statistics 0,
  alter column changes set statistics 0,
  alter column context set statistics 0,
  alter column moved set statistics 0;

revoke all on audit.log from public;

comment on table audit.log is
  'One row for each essential action: what was done, by whom, to what; append-only. Readers use the '
  'views audit.events and audit.changes.';
comment on column audit.log.id is
  'Number made from the clock and the session: it grows within a session, and with time. '
  '(occurred_at, id, tx) is the order of reading and the identity of the row.';
comment on column audit.log.tx is
  'Top-level transaction id (64 bits): the same for all rows of one transaction.';
comment on column audit.log.occurred_at is 'Time of the action (wall clock, not transaction start).';
comment on column audit.log.account_id is 'Tenant that the row belongs to; empty without tenants.';
comment on column audit.log.action is 'What was done, a code listed in audit.actions.';
comment on column audit.log.item_type is 'Kind of the item that the action was done to.';
comment on column audit.log.item_id is 'Id of the item, as text.';
comment on column audit.log.item_label is 'Name of the item at the time of the action.';
comment on column audit.log.parent_type is 'Kind of the item on whose page the row is shown too.';
comment on column audit.log.parent_id is 'Id of the item on whose page the row is shown too.';
comment on column audit.log.actor_type is
  'Kind of actor as given by audit.set_actor(), or database where none was given.';
comment on column audit.log.actor_id is
  'Id of the actor, or the login role where no actor was given.';
comment on column audit.log.actor_label is 'Name of the actor at the time of the action.';
comment on column audit.log.on_behalf_of_type is
  'Kind of whom the actor did it for; null where they did it for themselves.';
comment on column audit.log.on_behalf_of_id is 'Id of whom the actor did it for.';
comment on column audit.log.on_behalf_of_label is
  'Name of whom the actor did it for, at the time of the action.';
comment on column audit.log.db_role is 'Login role of the session that wrote.';
comment on column audit.log.application is 'The application_name of the session that wrote.';
comment on column audit.log.is_cascade is 'Whether the row was written because a parent was deleted.';
comment on column audit.log.context is
  'Request id, address, reason and the like, as given with the actor.';
comment on column audit.log.moved is
  'Where an action made the row of a table another item, or one of another account or parent: what it '
  'is known by on the other side, {"from": {"item_id": ...}} or, in the row about the item as it was, '
  '{"to": ...}.';
comment on column audit.log.era is
  'In which era (audit.era) it was written, which tx counts in; minus the number of the era where it '
  'came with the import that began that one.';
comment on column audit.log.layout is
  'Which layout (audit.layout) the row of the table had; null in rows about no row of a table.';
comment on column audit.log.row_values is
  'All audited columns of a created or deleted row, as the text of a record of that layout; changes '
  'is null then, and audit.events makes it of this.';
comment on column audit.log.changes is
  'Changed columns as {"column": {"old": ..., "new": ...}}; a secret is {"redacted": true}.';
comment on column audit.log.is_deleted is 'Whether it is about rows that the action deleted.';
