-- The schema of the engine: the log, what is tracked, and the functions that bind them.
create schema if not exists audit;

revoke all on schema audit from public;

-- Every client may name its actor (audit.set_actor); all else in here is granted object by object.
grant usage on schema audit to public;

comment on schema audit is 'Audit log: one row for every essential action on the tracked tables.';

-- Who may do what with the log: three roles of the cluster that others are made members of, and two
-- that nobody is to be a member of but the log's owner, which gives compiled functions to them.
-- Where the installing role may create none, audit.grant_rights() says what to run, and is run
-- again.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['audit_reader', 'audit_exporter', 'audit_maintainer',
    'audit_writer', 'audit_lookup']
  loop
    if to_regrole(v_role) is null
      and (select r.rolcreaterole or r.rolsuper from pg_roles as r where r.rolname = current_user)
    then
      begin
        execute format('create role %I nologin', v_role);
        -- On 16 and later whoever creates a role may grant it, but is not yet a member that may use it.
        if v_role in ('audit_writer', 'audit_lookup')
          and not (select r.rolsuper from pg_roles as r where r.rolname = current_user)
        then
          execute format('grant %I to current_user', v_role);
        end if;
      exception
        -- Somebody installs in another database of the cluster at this moment.
        when duplicate_object or unique_violation then
          raise notice 'role % is there already', v_role;
      end;
    end if;
  end loop;
end;
$$;

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

-- The names of actions: kept for as long as the log may show them.
create table audit.action (
  action      text collate "C" not null,
  label       text not null,
  description text not null default '',
  constraint action_pkey primary key (action)
);

revoke all on audit.action from public;

comment on table audit.action is 'One row for each action that the log may show, with its label.';
comment on column audit.action.action is 'Code of the action, as it stands in audit.log.';
comment on column audit.action.label is 'Name of the action for people.';
comment on column audit.action.description is 'What the action means, in a sentence.';

insert into audit.action (action, label, description) values
  ('log_exported', 'Log exported', 'Rows of the log were exported by auditdb export.'),
  ('log_imported', 'Log imported', 'Rows of another log were imported by auditdb import.'),
  ('log_import_undone', 'Import undone', 'The rows of an import were taken out of the log again.'),
  ('table_truncated', 'Table truncated', 'A tracked table was emptied by TRUNCATE.'),
  ('tracking_started', 'Tracking started', 'A table was declared to audit.track().'),
  ('tracking_changed', 'Tracking changed',
   'The declaration or the columns of a tracked table changed and its triggers were recompiled.'),
  ('tracking_stopped', 'Tracking stopped', 'A table was untracked or dropped.');

-- Where counting by transaction begins anew: at install, after a restore, after an import.
create table audit.era (
  number   integer     not null,
  log      uuid        not null,
  server   bigint      not null,
  kind     text        collate "C" not null,
  is_open  boolean     not null default false,
  began_at timestamptz not null default clock_timestamp(),
  imported jsonb,
  constraint era_pkey primary key (number),
  constraint era_kind_check
    check (kind in ('installed', 'restored', 'replicated', 'imported', 'undone', 'undo')),
  constraint era_imported_check check ((kind in ('imported', 'undone')) = (imported is not null))
);

revoke all on audit.era from public;

comment on table audit.era is
  'One row for each time from which on the transaction ids in the log are of this server.';
comment on column audit.era.number is 'Number of the era, from 1 on.';
comment on column audit.era.log is 'Identity of the log, kept when it is restored elsewhere.';
comment on column audit.era.server is 'Identifier of the server whose transaction ids count.';
comment on column audit.era.kind is
  'What began the era: installed, restored, replicated, imported; undone, an import that was undone '
  'since; undo, when it was.';
comment on column audit.era.is_open is
  'Whether an import is under way, whose rows are not all there yet.';
comment on column audit.era.began_at is 'When the era began.';
comment on column audit.era.imported is
  'What was imported: the hash, log and rows of the export, its first and last time (since, until), '
  'how many rows were new, and which layouts. Its rows in audit.log have minus the number as era.';

insert into audit.era (number, log, server, kind)
select 1, gen_random_uuid(), s.system_identifier, 'installed'
from pg_control_system() as s;

-- The declarations: what audit.track() was told about each table, and what was compiled from it.
create table audit.tracked (
  id            integer generated always as identity,
  target        regclass not null,
  slug          text not null,
  item_type     text not null,
  item_id       text,
  item_label    text,
  account       text,
  accounts      text,
  account_tables regclass[] not null default '{}',
  account_reader text,
  parent_type   text,
  parent_id     text,
  lookups       jsonb not null default '{}',
  part          text,
  part_name     text,
  operational   text[] not null default '{}',
  secret        text[] not null default '{}',
  actions       jsonb not null,
  require_actor boolean not null default false,
  on_truncate   text not null default 'log',
  tables        regclass[] not null default '{}',
  columns       jsonb not null default '[]',
  compiled      jsonb not null default '{}',
  table_name    text not null default '',
  inputs        text not null default '',
  layout        integer,
  trigger_count integer not null default 0,
  constraint tracked_pkey primary key (id),
  constraint tracked_target_key unique (target),
  constraint tracked_slug_key unique (slug),
  constraint tracked_on_truncate_check check (on_truncate in ('log', 'refuse')),
  constraint tracked_actions_is_array_check check (jsonb_typeof(actions) = 'array'),
  constraint tracked_parent_type_and_id_check check ((parent_type is null) = (parent_id is null)),
  constraint tracked_one_account_check check (account is null or accounts is null),
  constraint tracked_part_and_name_check check (part is not null or part_name is null)
);

create index tracked_tables_idx on audit.tracked using gin ((tables::oid[])) with (fastupdate = off);
create index tracked_widened_idx on audit.tracked (id) where inputs = '';
create index tracked_quoted_idx on audit.tracked (id) where right(table_name, 1) = '"';

revoke all on audit.tracked from public;

comment on table audit.tracked is 'One row for each tracked table: its declaration.';
comment on column audit.tracked.id is 'Number of the declaration, known to the compiled functions.';
comment on column audit.tracked.target is 'The tracked table.';
comment on column audit.tracked.slug is 'Name that the compiled functions begin with.';
comment on column audit.tracked.item_type is 'Kind of the item that a row is about.';
comment on column audit.tracked.item_id is
  'Expression for the id of the item; null takes the primary key.';
comment on column audit.tracked.item_label is 'Expression for the name of the item.';
comment on column audit.tracked.account is 'Expression for the tenant of the row.';
comment on column audit.tracked.accounts is
  'Query for the tenants of the row where there may be several: one log row each.';
comment on column audit.tracked.account_tables is 'The tables that the query for accounts reads.';
comment on column audit.tracked.account_reader is
  'Who reads them: inline, the trigger function itself; or a function of audit_lookup or the owner.';
comment on column audit.tracked.parent_type is 'Kind of the item on whose page actions show too.';
comment on column audit.tracked.parent_id is 'Expression for the id of that item.';
comment on column audit.tracked.lookups is
  'Rows that expressions may name: alias to the foreign key column that leads there.';
comment on column audit.tracked.part is
  'Path that the keys of changes begin with, where rows are parts of the item.';
comment on column audit.tracked.part_name is
  'Expression for the name of the part, second in the path; without it, the primary key.';
comment on column audit.tracked.operational is 'Columns whose change is no action.';
comment on column audit.tracked.secret is
  'Columns that are logged as changed, never with their values.';
comment on column audit.tracked.actions is
  'The actions: name, events, the columns each owns, and its condition, in order of precedence.';
comment on column audit.tracked.require_actor is 'Whether a write without an actor is refused.';
comment on column audit.tracked.on_truncate is 'Whether TRUNCATE is logged (log) or refused (refuse).';
comment on column audit.tracked.tables is 'The table and those that its lookups lead to.';
comment on column audit.tracked.columns is
  'The columns of these tables that the compiled functions rely on, as they were when compiled.';
comment on column audit.tracked.table_name is
  'The table, with its schema, as it was called when it was compiled.';
comment on column audit.tracked.inputs is
  'Digest of all that the compiled functions and triggers were made of, as audit.inputs_of() has it; '
  'empty where the trigger for UPDATE was widened, compiling until they are in place.';
comment on column audit.tracked.trigger_count is 'How many triggers were compiled for the table.';
comment on column audit.tracked.layout is 'The layout that rows are written in now.';
comment on column audit.tracked.compiled is
  'Functions and triggers that were compiled, with their text: the columns of type audit.compiled.';

-- The shapes of rows that the log keeps as records: a row of the log names its layout, and a layout
-- names its table. What is here is the truth; types and functions are derived from it.
create table audit.layout (
  id         integer     not null,
  tracked_id integer     not null,
  table_name text        collate "C" not null,
  columns    jsonb       not null,
  names      text[]      not null,
  secret     text[]      not null default '{}',
  secret_numbers smallint[] not null default '{}',
  numbers    smallint[],
  relation   oid,
  renamed    jsonb,
  made_at    timestamptz not null default clock_timestamp(),
  constraint layout_pkey primary key (id),
  constraint layout_columns_is_array_check check (jsonb_typeof(columns) = 'array')
);

create index layout_tracked_id_idx on audit.layout (tracked_id, id);

comment on table audit.layout is
  'One row for each shape that the rows of a tracked table had: its audited columns, in their order. '
  'Never changed but for renamed, and never removed while a row of the log may refer to it.';
comment on column audit.layout.id is 'Number of the layout, as audit.log names it.';
comment on column audit.layout.tracked_id is
  'Number of the declaration in audit.tracked; below zero where it came with an import from another '
  'log.';
comment on column audit.layout.table_name is 'The table, with its schema, as it was called then.';
comment on column audit.layout.columns is
  'The columns that a record holds: name, number in the table (attnum), type as declared, and the '
  'type that the record keeps it as.';
comment on column audit.layout.names is 'The names of these columns, in their order.';
comment on column audit.layout.secret is 'Columns that are not in the record, for they are secret.';
comment on column audit.layout.secret_numbers is 'Their numbers in the table, in the same order.';
comment on column audit.layout.numbers is
  'The numbers of all columns that the table had, audited or not: others were dropped, or came later.';
comment on column audit.layout.relation is
  'The oid that the table had: a column keeps its number as long as the table does.';
comment on column audit.layout.renamed is
  'The columns of this layout that are called otherwise in the newest one of the declaration, as '
  '{"then": "now"}; null where there are none. Derived from the other columns.';
comment on column audit.layout.made_at is 'Since when rows are written so.';

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

-- What is chosen once, at install, and looked up by maintenance.
create table audit.option (
  name  text collate "C" not null,
  value text             not null,
  constraint option_pkey primary key (name),
  constraint option_partition_interval_check
    check (name <> 'partition_interval' or value in ('month', 'quarter', 'year'))
);

revoke all on audit.option from public;

comment on table audit.option is 'Choices made at install, one a row.';
comment on column audit.option.name is 'Name of the choice: partition_interval.';
comment on column audit.option.value is
  'What was chosen: for partition_interval month, quarter or year.';

insert into audit.option (name, value)
values ('partition_interval',
  coalesce(nullif(current_setting('audit.partition_interval', true), ''), 'month'));

-- Tables of which somebody decided that they are not tracked.
create table audit.ignored (
  target regclass not null,
  constraint ignored_pkey primary key (target)
);

revoke all on audit.ignored from public;

comment on table audit.ignored is
  'One row for each table that audit.check() says nothing of, though others of its schema are tracked.';
comment on column audit.ignored.target is 'The table.';

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

-- What a policy of the log hides, the summaries of closed partitions must not tell.
create or replace function audit.has_own_policies()
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_policy as p
    where p.polrelid = 'audit.log'::regclass
      and p.polname not in ('account_policy', 'exporter_policy', 'writer_policy'))
$$;

comment on function audit.has_own_policies() is
  'Public. Whether the log has policies besides those that it came with. Then audit.presence and '
  'audit.belonging are for nobody who is under row security.';

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

-- How a compiled function says what the log keeps of a row: what audit.bind_row() makes of a
-- declaration, and the bodies of the compiled functions are built from.
create type audit.row_sql as (
  account     text,
  item_id     text,
  item_label  text,
  parent_type text,
  parent_id   text,
  part_name   text,
  key_text    text,
  joins       text,
  names       jsonb
);

comment on type audit.row_sql is
  'What a declaration says of a row, as SQL over new, over old, or over both merged.';
comment on column audit.row_sql.account is
  'SQL for the tenant; an empty string where there is none.';
comment on column audit.row_sql.item_id is 'SQL for the id of the item.';
comment on column audit.row_sql.item_label is 'SQL for the name of the item, or for a null.';
comment on column audit.row_sql.parent_type is
  'SQL for the kind of the item on whose page the action shows too, or for a null.';
comment on column audit.row_sql.parent_id is 'SQL for the id of that item, or for a null.';
comment on column audit.row_sql.part_name is
  'SQL for the name of the part: one segment of a path, with ~ and / written as ~0 and ~1.';
comment on column audit.row_sql.key_text is
  'SQL for the primary key, which tells parts of one name apart.';
comment on column audit.row_sql.joins is
  'The joins that the other expressions need, after a FROM; empty where they need none.';
comment on column audit.row_sql.names is
  'SQL for each column of the table by its name: what a declared expression is rewritten with.';

-- What a declaration compiles to: made by audit.compile_table(), put in place by
-- audit.install_compiled(), and kept in audit.tracked.compiled as JSON with these keys.
create type audit.compiled as (
  name        text,
  fingerprint text,
  functions   jsonb,
  triggers    jsonb,
  owners      jsonb
);

comment on type audit.compiled is 'The functions and triggers that a declaration compiles to.';
comment on column audit.compiled.name is 'The table, with its schema, as it was called then.';
comment on column audit.compiled.fingerprint is
  'What audit.fingerprint() said of the table then: where it says something else, this is stale.';
comment on column audit.compiled.functions is
  'The trigger functions: for each name, without its schema, the statement that creates it.';
comment on column audit.compiled.owners is
  'Whose rights a function has where that is not audit_writer: audit_lookup or owner.';
comment on column audit.compiled.triggers is
  'The triggers: for each name what follows it in CREATE TRIGGER, with the table as regclass shows '
  'it.';

-- What audit.check() found: what, how bad, where, in words, and the command that mends it.
create type audit.finding as (
  finding  text,
  severity text,
  object   text,
  message  text,
  mend     text
);

comment on type audit.finding is 'Something that audit.check() found.';
comment on column audit.finding.finding is 'Code of what is wrong, the same in every version.';
comment on column audit.finding.severity is
  'error where rows are missed, changed or seen by the wrong people, or will be; warning; info where '
  'nothing is wrong.';
comment on column audit.finding.object is 'The table, trigger, role or the like that is wrong.';
comment on column audit.finding.message is 'What is wrong and what follows from it, for people.';
comment on column audit.finding.mend is
  'The command that mends it; empty where nothing is to be done.';

-- What undoing needs of a row of the log.
create type audit.undo_row as (
  place bigint,
  layout integer,
  row_values text,
  changes jsonb,
  is_deleted boolean,
  action text,
  item_type text,
  item_id text,
  parent_id text,
  account_id text
);

comment on type audit.undo_row is
  'A row of the log that is undone, with its place in the order of doing.';
comment on column audit.undo_row.place is 'Place in the order of doing.';
comment on column audit.undo_row.layout is 'Which layout the row of the table had.';
comment on column audit.undo_row.row_values is 'All columns of a created or deleted row, as a record of the layout.';
comment on column audit.undo_row.changes is 'Changed columns, each with old and new.';
comment on column audit.undo_row.is_deleted is 'Whether the action deleted rows.';
comment on column audit.undo_row.action is 'What was done.';
comment on column audit.undo_row.item_type is 'Kind of the item.';
comment on column audit.undo_row.item_id is 'Id of the item.';
comment on column audit.undo_row.parent_id is 'Id of the parent of the item.';
comment on column audit.undo_row.account_id is 'Account of the row.';

-- What one row of the log says of one row of a table. Values are texts by the numbers that the
-- columns have now, each as its type writes it under the settings of audit.undo_plan().
create type audit.undo_change as (
  place bigint,
  target oid,
  kind text,
  old_key text[],
  new_key text[],
  old_values jsonb,
  new_values jsonb,
  missing jsonb,
  problem text
);

comment on type audit.undo_change is
  'What a row of the log says of a row of a table: its place in the order of doing, insert, update '
  'or delete, keys and values before and after, columns whose values are missing, and why nothing '
  'can be undone.';
comment on column audit.undo_change.place is 'Place in the order of doing.';
comment on column audit.undo_change.target is 'The table.';
comment on column audit.undo_change.kind is 'insert, update or delete: what was done to the row.';
comment on column audit.undo_change.old_key is 'Primary key before; null where the row came.';
comment on column audit.undo_change.new_key is 'Primary key after; null where the row went.';
comment on column audit.undo_change.old_values is 'Values before, by the numbers of columns.';
comment on column audit.undo_change.new_values is 'Values after, by the numbers of columns.';
comment on column audit.undo_change.missing is 'Columns whose values the log does not hold, and why.';
comment on column audit.undo_change.problem is 'Why nothing can be undone; null where it can.';

-- What became of one row of a table by all that is undone, and how it is there now.
create type audit.undo_net as (
  place bigint,
  target oid,
  was_there boolean,
  stayed boolean,
  old_key text[],
  new_key text[],
  old_values jsonb,
  new_values jsonb,
  present jsonb,
  missing jsonb,
  conflicts text[],
  problem text
);

comment on type audit.undo_net is
  'A row of a table before and after all that is undone, its present values, columns whose values '
  'are missing, conflicts, and why nothing can be undone.';
comment on column audit.undo_net.place is 'Place in the order of doing.';
comment on column audit.undo_net.target is 'The table.';
comment on column audit.undo_net.was_there is 'Whether the row was there before.';
comment on column audit.undo_net.stayed is 'Whether it was there after.';
comment on column audit.undo_net.old_key is 'Primary key before.';
comment on column audit.undo_net.new_key is 'Primary key after.';
comment on column audit.undo_net.old_values is 'Values before, by the numbers of columns.';
comment on column audit.undo_net.new_values is 'Values after, by the numbers of columns.';
comment on column audit.undo_net.present is 'Values of now; null where the row is not there.';
comment on column audit.undo_net.missing is 'Columns whose values the log does not hold, and why.';
comment on column audit.undo_net.conflicts is 'What was changed since by others.';
comment on column audit.undo_net.problem is 'Why nothing can be undone; null where it can.';

-- How a table is named in the log: with its schema, whatever the search_path.
create or replace function audit.name_of(relation regclass)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('%I.%I', n.nspname, c.relname)
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = relation
$$;

revoke all on function audit.name_of(regclass) from public;

comment on function audit.name_of(regclass) is 'The schema-qualified name of a table.';

-- PostgreSQL cuts names at 63 bytes: two long actions must not become one variable.
create or replace function audit.short_name(name text)
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select case when octet_length(name) > 50 then md5(name) else name end
$$;

revoke all on function audit.short_name(text) from public;

comment on function audit.short_name(text) is 'A name, or its digest where it is long.';

-- One spelling for a name however it was quoted, so that declared names can be compared.
create or replace function audit.fold_name(token text)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
begin
  -- Most are of this kind, and looking up a plan takes longer than the rest.
  if token ~ '^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$' then
    return token;
  elsif token ~ '^(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*$' then
    return string_agg(
        case when p[1] like '"%' then replace(substr(p[1], 2, length(p[1]) - 2), '""', '"')
          else lower(p[1]) end, '.' order by n)
      from regexp_matches(token, '"(?:[^"]|"")+"|[\w$]+', 'g') with ordinality as m (p, n);
  end if;
  return null;
end;
$$;

revoke all on function audit.fold_name(text) from public;

comment on function audit.fold_name(text) is
  'The name that a token of SQL stands for, its parts joined by dots; null for other tokens.';

-- Declared expressions are taken apart here and nowhere else: a token is a string, the name of a
-- type with the :: or AS before it, a chain of identifiers, a number or else one character. Names
-- that an opening bracket follows are functions.
create or replace function audit.tokens_of(expression text)
  returns table (number bigint, token text, name text)
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
begin
  return query
    select m.number, concat(m.match[1], m.match[2]),
      case when m.match[2] is null then audit.fold_name(m.match[1]) end
    from regexp_matches(tokens_of.expression,
      '([eE]''(?:[^''\\]|\\.|'''')*''|''(?:[^'']|'''')*'''
      '|(?:::|\m[aA][sS]\M)\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)'
      '(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*'
      '(?:\s+(?:\mprecision|\mvarying|\mwithout\s+time\s+zone|\mwith\s+time\s+zone)\M)?'
      '|(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*'
      '|\d[\w.]*|.)(\s*\()?', 'g') with ordinality as m (match, number);
end;
$$;

revoke all on function audit.tokens_of(text) from public;

comment on function audit.tokens_of(text) is
  'The tokens of an SQL expression in order; a name is that of a column, as audit.fold_name() '
  'spells it, and null for other tokens.';

-- Which columns a declared expression needs: asked when triggers are compiled and compared.
create or replace function audit.names_in(expression text)
  returns setof text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select distinct t.name
  from audit.tokens_of(names_in.expression) as t
  where t.name is not null
$$;

revoke all on function audit.names_in(text) from public;

comment on function audit.names_in(text) is
  'The names in an SQL expression that are neither strings nor functions.';

-- Declared expressions name columns; this puts in what a name stands for in the compiled code.
create or replace function audit.rewrite_expression(expression text, names jsonb)
  returns text
  language sql
  immutable
  strict
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(coalesce(names ->> t.name, t.token), '' order by t.number), '')
  from audit.tokens_of(rewrite_expression.expression) as t
$$;

revoke all on function audit.rewrite_expression(text, jsonb) from public;

comment on function audit.rewrite_expression(text, jsonb) is
  'Replaces names of columns in an SQL expression; strings and names of functions stay.';

-- Times are stored as UTC whatever the time zone of the writer.
create or replace function audit.utc(moment timestamptz)
  returns text
  language sql
  immutable
  strict
  parallel safe
as $$
  select case
    when not pg_catalog.isfinite(moment) then pg_catalog.to_jsonb(moment) #>> '{}'
    when moment operator(pg_catalog.<) '0001-01-01 00:00:00+00'::pg_catalog.timestamptz
      then pg_catalog.replace(
        pg_catalog.to_jsonb(pg_catalog.timezone('UTC', moment)) #>> '{}', ' BC', '+00:00 BC')
    else (pg_catalog.to_jsonb(pg_catalog.timezone('UTC', moment)) #>> '{}') || '+00:00'
  end
$$;

revoke all on function audit.utc(timestamptz) from public;

comment on function audit.utc(timestamptz) is 'A time as ISO 8601 text in UTC.';

-- What a type is made of: itself, or the element of an array, without the domains around it.
create or replace function audit.element_of(type oid)
  returns oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive inner_type (type, depth) as (
    select element_of.type, 0
    union all
    select case when t.typtype = 'd' then t.typbasetype else t.typelem end, i.depth + 1
    from inner_type as i
    join pg_type as t on t.oid = i.type
    where t.typtype = 'd' or (t.typelem <> 0 and t.typlen = -1)
  )
  select i.type from inner_type as i order by i.depth desc limit 1
$$;

revoke all on function audit.element_of(oid) from public;

comment on function audit.element_of(oid) is
  'The type of the elements of an array, or the type itself; domains are looked through.';

-- Whether a type is one of PostgreSQL's own, so that nobody below the superuser can give it a cast,
-- an operator or a check. Never a domain, nor the row type of a table.
create or replace function audit.is_builtin(type oid)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select t.oid < 16384
    and t.typtype in ('b', 'r', 'm')
    and coalesce(e.typtype in ('b', 'r', 'm'), true)
  from pg_type as t
  left join pg_type as e on e.oid = t.typelem and t.typlen = -1
  where t.oid = is_builtin.type
$$;

revoke all on function audit.is_builtin(oid) from public;

comment on function audit.is_builtin(oid) is 'Whether a type, or that of its elements, is PostgreSQL''s own.';

-- As what compiled functions see a value: as it is where its type is PostgreSQL's own, else as the
-- type that is below its domains, or as text.
create or replace function audit.presented_type(type oid)
  returns oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when audit.is_builtin(presented_type.type) then presented_type.type else (
    with recursive base (type) as (
      select presented_type.type
      union all
      select t.typbasetype from base as b join pg_type as t on t.oid = b.type where t.typtype = 'd'
    )
    select case
      when audit.is_builtin(b.type) then b.type
      when t.typlen <> -1 or t.typelem = 0 then 'text'::regtype
      when audit.is_builtin(e.oid) and e.typarray <> 0 then e.typarray
      else 'text[]'::regtype end
    from base as b
    join pg_type as t on t.oid = b.type and t.typtype <> 'd'
    join pg_type as e on e.oid = audit.element_of(b.type)) end
$$;

revoke all on function audit.presented_type(oid) from public;

comment on function audit.presented_type(oid) is 'The type in which compiled functions see a value.';

-- A type of PostgreSQL's own as compiled text names it: with its schema, whatever is called so
-- elsewhere.
create or replace function audit.builtin_name(type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('pg_catalog.%I', p.typname) from pg_type as p where p.oid = builtin_name.type
$$;

revoke all on function audit.builtin_name(oid) from public;

comment on function audit.builtin_name(oid) is 'The name of a type of PostgreSQL''s own, with its schema.';

-- The only way for a column into compiled text, but for audit.difference(). A type that somebody
-- made may have casts, operators and checks that are that one's code, and would run with the rights
-- of the compiled function: such a value is its text, by its output function (concat) and never by
-- a cast, with nulls kept as they are.
create or replace function audit.presented(type oid, reference text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when audit.is_builtin(presented.type)
    then format('audit.as_compiled(%s, null::%s)', reference, audit.builtin_name(p.type))
    else format('(case when num_nulls(%1$s) = 0 then concat(%1$s) end)', reference)
      || case when p.type = 'text'::regtype then '' else '::' || audit.builtin_name(p.type) end
    end
  from (select audit.presented_type(presented.type) as type) as p
$$;

revoke all on function audit.presented(oid, text) from public;

comment on function audit.presented(oid, text) is
  'SQL for the value of a column, in a type of PostgreSQL''s own.';

-- Whether a column changed, as SQL that runs nobody's operator. Equal is not the same: 1.1 and
-- 1.10, '1 day' and '24 hours', so what is compared is the image, but for types where they are one.
create or replace function audit.difference(
  declared_type oid, is_plain boolean, was text, is_now text
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when is_plain
    then format('%s is distinct from %s', was, audit.presented(declared_type, is_now))
    else format('record_image_ne(row(%s), row(%s))', was, is_now) end
$$;

revoke all on function audit.difference(oid, boolean, text, text) from public;

comment on function audit.difference(oid, boolean, text, text) is
  'SQL that says whether the old and the new value of a column differ.';

-- A column of a row on its way from one partition to another: the row is kept as text, column by
-- column, and never as the type of somebody's table.
create or replace function audit.moved_value(place bigint, type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('(_audit.v_row[%s])', place)
    || case when moved_value.type = 'text'::regtype then ''
      else '::' || audit.builtin_name(moved_value.type) end
$$;

revoke all on function audit.moved_value(bigint, oid) from public;

comment on function audit.moved_value(bigint, oid) is
  'SQL for the value of a column, by its place, in a row that moves between partitions.';

-- A value as the text that it is written as and read from. The cast to text leaves out the blanks at
-- the end of a char(n).
create or replace function audit.exact_text(type oid, expression text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when type = 'bpchar'::regtype
      then format('(case when num_nulls(%1$s) = 0 then concat(%1$s) end)', expression)
    else expression || '::text' end
$$;

revoke all on function audit.exact_text(oid, text) from public;

comment on function audit.exact_text(oid, text) is
  'SQL for the text of a value, with all that the value has.';

-- How a value of a type gets into the log: exact, and the same whatever the writer's settings.
create or replace function audit.json_value(type oid, expression text, is_utc boolean default false)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when type = 'timestamptz'::regtype and not is_utc then format('audit.utc(%s)', expression)
    when type = 'bytea'::regtype then format('(chr(92) || ''x'' || encode(%s, ''hex''))', expression)
    -- jsonb has no negative zero.
    when type in ('float4'::regtype, 'float8'::regtype) then format(
      'case when %1$s::text = ''-0'' then to_jsonb(''-0''::text) else to_jsonb(%1$s) end',
      expression)
    -- json may hold what jsonb refuses (U+0000, duplicate keys): it is kept as the text it is.
    when type = 'json'::regtype then expression || '::text'
    -- JSON counts from one place and knows no negative zero: such an array is kept as its text.
    when audit.element_of(type) <> type then format(
      case when audit.element_of(type) in ('float4'::regtype, 'float8'::regtype)
        then 'case when %1$s::text ~ ''^[[]|[{,]-0[,}]'' then to_jsonb(%1$s::text) else to_jsonb(%1$s) end'
        else 'case when starts_with(%1$s::text, ''['') then to_jsonb(%1$s::text) else to_jsonb(%1$s) end'
        end,
      case when type = 'json[]'::regtype
        then format('(case when num_nulls(%1$s) = 0 then concat(%1$s)::text[] end)', expression)
        else expression end)
    else expression
  end
$$;

revoke all on function audit.json_value(oid, text, boolean) from public;

comment on function audit.json_value(oid, text, boolean) is
  'SQL that turns a column into the value that the log keeps; shorter where the time zone is UTC.';

-- Ids and labels are text; those of common types need no detour through jsonb.
create or replace function audit.text_value(type oid, expression text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when type in ('text'::regtype, 'varchar'::regtype, 'int2'::regtype, 'int4'::regtype,
      'int8'::regtype, 'uuid'::regtype, 'bool'::regtype, 'numeric'::regtype, 'name'::regtype,
      'oid'::regtype) then expression || '::text'
    -- As in the column, so as an application knows it.
    when type = 'bpchar'::regtype then audit.exact_text(type, expression)
    when type in ('timestamptz'::regtype, 'bytea'::regtype, 'json'::regtype)
      then audit.json_value(type, expression)
    else format('(to_jsonb(%s) #>> ''{}'')', audit.json_value(type, expression))
  end
$$;

revoke all on function audit.text_value(oid, text) from public;

comment on function audit.text_value(oid, text) is
  'SQL that turns a column into the text that names it in the log.';

-- A setting is pinned only on the tables whose types depend on it: each costs a little.
create or replace function audit.settings_of(types oid[])
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive base (type, is_domain) as (
    select unnest(types), false
    union
    select t.typbasetype, true
    from base as b join pg_type as t on t.oid = b.type where t.typtype = 'd'
  ), element (type, is_array, is_domain) as (
    select distinct coalesce(nullif(t.typelem, 0), t.oid), t.typelem <> 0, b.is_domain
    from base as b
    join pg_type as t on t.oid = b.type and t.typtype <> 'd'
  ), kind as (
    select
      e.type,
      e.is_array,
      e.is_domain,
      e.type in (
        'bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype,
        'numeric'::regtype, 'time'::regtype, 'timetz'::regtype, 'oid'::regtype, 'name'::regtype,
        'char'::regtype, 'text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'json'::regtype,
        'jsonb'::regtype)
      -- A domain's values are seen as text.
      or (e.type in ('date'::regtype, 'timestamp'::regtype) and not e.is_array and not e.is_domain)
      or (t.typtype = 'e' and not e.is_array) as is_steady
    from element as e
    join pg_type as t on t.oid = e.type
  )
  select coalesce(array_agg(distinct s order by s), '{}')
  from kind as k
  cross join lateral unnest(case
    when k.is_steady then '{}'::text[]
    when not k.is_array and not k.is_domain
      and k.type in ('timestamptz'::regtype, 'bytea'::regtype) then '{}'
    when k.type in ('date'::regtype, 'timestamp'::regtype) and not k.is_domain
      then array['datestyle = ''ISO''']
    when k.type = 'timestamptz'::regtype and not k.is_domain
      then array['timezone = ''UTC''', 'datestyle = ''ISO''']
    when k.type = 'bytea'::regtype then array['bytea_output = ''hex''']
    when k.type in ('float4'::regtype, 'float8'::regtype) then array['extra_float_digits = ''1''']
    when k.type = 'interval'::regtype then array['intervalstyle = ''postgres''']
    else array['timezone = ''UTC''', 'datestyle = ''ISO''', 'intervalstyle = ''postgres''',
      'extra_float_digits = ''1''', 'bytea_output = ''hex''', 'lc_monetary = ''C''',
      'array_nulls = ''on''', 'quote_all_identifiers = ''off''']
  end) as s
$$;

revoke all on function audit.settings_of(oid[]) from public;

comment on function audit.settings_of(oid[]) is
  'The settings that a function must pin to write values of these types the same for everybody.';

-- The equality that a presented key is unique by, found without any search_path.
create or replace function audit.equality_of(type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('operator(%I.%s)', n.nspname, o.oprname)
  from pg_type as t
  join pg_opclass as c on c.opcdefault
    and c.opcmethod = (select m.oid from pg_am as m where m.amname = 'btree')
  join pg_amop as p on p.amopfamily = c.opcfamily and p.amopstrategy = 3
    and p.amoplefttype = c.opcintype and p.amoprighttype = c.opcintype
  join pg_operator as o on o.oid = p.amopopr
  join pg_namespace as n on n.oid = o.oprnamespace
  where t.oid = equality_of.type and (c.opcintype = t.oid
    or c.opcintype = case
      when t.oid = 'varchar'::regtype then 'text'::regtype
      when t.typtype = 'r' then 'anyrange'::regtype
      when t.typtype = 'm' then 'anymultirange'::regtype
      when t.typelem <> 0 and t.typlen = -1 then 'anyarray'::regtype
    end)
  order by c.opcintype = t.oid desc
  limit 1
$$;

revoke all on function audit.equality_of(oid) from public;

comment on function audit.equality_of(oid) is
  'The equality operator of a type of PostgreSQL''s own, schema-qualified.';

-- A name that is always quoted: PL/pgSQL has reserved words that SQL has not, such as begin and
-- end.
create or replace function audit.quoted(name text)
  returns text
  language sql
  immutable
  strict
  parallel safe
  set search_path = pg_catalog, pg_temp
as $$
  select '"' || replace(name, '"', '""') || '"'
$$;

revoke all on function audit.quoted(text) from public;

comment on function audit.quoted(text) is 'A name in double quotes, whatever it is.';

-- The columns that tell the rows of a table apart: its primary key. A migration replaces a key in two
-- statements, and between them a tracked table goes by the key that it had, while its columns are
-- there.
create or replace function audit.key_of(target regclass)
  returns smallint[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select array(select unnest(i.indkey)) from pg_index as i
     where i.indrelid = key_of.target and i.indisprimary),
    (select array_agg(a.attnum order by a.attnum)
     from audit.tracked as k
     cross join jsonb_array_elements(k.columns) as c
     left join pg_attribute as a on a.attrelid = k.target and not a.attisdropped and a.attnum > 0
       and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
         else a.attname = c ->> 'name' end
     where k.target = key_of.target and (c ->> 'is_key')::boolean
     having bool_and(a.attnum is not null)),
    '{}')
$$;

revoke all on function audit.key_of(regclass) from public;

comment on function audit.key_of(regclass) is
  'The numbers of the columns of the primary key of a table, or of the one that a tracked table had.';

-- The columns of a table as the compiler sees them.
create or replace function audit.columns_of(target regclass)
  returns table (
    number smallint,
    name text,
    ident text,
    field text,
    type oid,
    declared_type oid,
    is_key boolean,
    is_plain boolean
  )
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select
      a.attnum,
      a.attname::text,
      audit.quoted(a.attname),
      -- The row of a partition is handed on without the names and the type that it has there.
      case when c.relkind = 'p' then 'f' || row_number() over (order by a.attnum)
        else audit.quoted(a.attname) end,
      audit.presented_type(a.atttypid),
      a.atttypid,
      a.attnum = any (k.numbers),
      -- Types whose equality is identity, so that "is distinct from" sees every change.
      a.atttypid in (
        'bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype,
        'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'bytea'::regtype,
        'oid'::regtype, 'name'::regtype, 'text'::regtype, 'varchar'::regtype, 'time'::regtype)
        and coalesce((select o.collisdeterministic from pg_collation as o
                      where o.oid = a.attcollation), true)
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid
    cross join audit.key_of(columns_of.target) as k (numbers)
    -- A virtual generated column has no value of its own in a trigger; its sources are audited.
    where a.attrelid = columns_of.target and a.attnum > 0 and not a.attisdropped
      and a.attgenerated <> 'v'
    order by a.attnum;
end;
$$;

revoke all on function audit.columns_of(regclass) from public;

comment on function audit.columns_of(regclass) is
  'The columns of a table that can be audited: their names in SQL and in a row of a compiled '
  'function, the type that such functions see, that which was declared, key membership, equality.';

-- What the names of columns stand for in compiled code: the new row, the old one, the one that
-- moves from partition to partition, or both old and new merged.
create or replace function audit.row_names(t audit.tracked, side text)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (
    select c.name, c.is_key, c.number,
      case when side in ('new', 'merged')
        then audit.presented(c.declared_type, 'new.' || c.field) end as new_value,
      case when side in ('old', 'merged')
        then audit.presented(c.declared_type, 'old.' || c.field) end as old_value,
      case when side = 'moved'
        then audit.moved_value(row_number() over (order by c.number), c.type) end as moved_value
    from audit.columns_of(t.target) as c
  ), first_key as (
    select k.new_value as value from known as k where k.is_key order by k.number limit 1
  )
  select jsonb_object_agg(k.name, case side
      when 'new' then k.new_value
      when 'old' then k.old_value
      when 'moved' then k.moved_value
      else format('case when %s is null then %s else %s end', f.value, k.old_value, k.new_value) end)
  from known as k
  cross join first_key as f
$$;

revoke all on function audit.row_names(audit.tracked, text) from public;

comment on function audit.row_names(audit.tracked, text) is
  'SQL for each column of a table by its name, over one side of what happened to a row.';

-- Whether a record of the log keeps a type as it is. The text of such a value reads back whatever
-- catalogue, locale or setting there is then: not that of a reg type, whose object may be gone, of
-- money, of an access right, nor of a type that somebody made, which can be changed or dropped.
create or replace function audit.is_kept(type oid)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.is_builtin(is_kept.type)
    and e.typname !~ '^reg'
    and e.oid <> all (array['aclitem'::regtype, 'money'::regtype, 'xml'::regtype,
      'json'::regtype]::oid[])
    -- Written in hexadecimal by hand, a single one needs no setting.
    and is_kept.type <> 'bytea'::regtype
  from pg_type as e
  where e.oid = audit.element_of(is_kept.type)
$$;

revoke all on function audit.is_kept(oid) from public;

comment on function audit.is_kept(oid) is
  'Whether values of a type are kept in a record of the log as they are; others as their text.';

-- How a value of a type gets into a record of the log, and as what.
create or replace function audit.record_value(
  type oid, expression text, out value text, out kept_as text
)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    case when k.is_kept then expression
      when type = 'bytea'::regtype then audit.json_value(type, expression, true)
      else format('%s::%s', expression, k.kept_as) end,
    k.kept_as
  from (
    select i.is_kept, case when i.is_kept then audit.builtin_name(type)
      when audit.element_of(type) = type then 'pg_catalog.text' else 'pg_catalog.text[]' end as kept_as
    from (select audit.is_kept(type) as is_kept) as i
  ) as k
$$;

revoke all on function audit.record_value(oid, text) from public;

comment on function audit.record_value(oid, text) is
  'SQL that turns a presented value into what a record of the log holds, and the type of that.';

-- What a record of a tracked table holds now: its audited columns, without the secret ones.
create or replace function audit.layout_columns(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'name', c.name,
      'number', c.number,
      'type', format_type(a.atttypid, a.atttypmod),
      'kept_as', r.kept_as) order by c.number), '[]')
  from audit.columns_of(t.target) as c
  join pg_attribute as a on a.attrelid = t.target and a.attnum = c.number
  cross join lateral audit.record_value(c.type, '') as r
  where c.name <> all (t.operational) and c.name <> all (t.secret)
$$;

revoke all on function audit.layout_columns(audit.tracked) from public;

comment on function audit.layout_columns(audit.tracked) is
  'The columns that a record of a tracked table holds, as audit.layout has them.';

-- Which columns of a tracked table are secret, in the order of the table.
create or replace function audit.secret_columns(t audit.tracked)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select a.attname::text
    from pg_attribute as a
    where a.attrelid = t.target and a.attnum > 0 and not a.attisdropped
      and a.attname = any (t.secret) and a.attname <> all (t.operational)
    order by a.attnum)
$$;

revoke all on function audit.secret_columns(audit.tracked) from public;

comment on function audit.secret_columns(audit.tracked) is
  'The secret columns of a tracked table, in the order of the table.';

-- The numbers of the secret columns of a tracked table: so a renamed one is known again.
create or replace function audit.secret_numbers(t audit.tracked)
  returns smallint[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select a.attnum
    from pg_attribute as a
    where a.attrelid = t.target and a.attname = any (audit.secret_columns(t))
    order by a.attnum)
$$;

revoke all on function audit.secret_numbers(audit.tracked) from public;

comment on function audit.secret_numbers(audit.tracked) is
  'The numbers of the secret columns of a tracked table, in the order of the table.';

-- Which columns a table has, audited or not: a number that is not among them was dropped, or comes
-- later.
create or replace function audit.column_numbers(target regclass)
  returns smallint[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select a.attnum
    from pg_attribute as a
    where a.attrelid = column_numbers.target and a.attnum > 0 and not a.attisdropped
    order by a.attnum)
$$;

revoke all on function audit.column_numbers(regclass) from public;

comment on function audit.column_numbers(regclass) is 'The numbers of all columns of a table.';

-- Which layout a tracked table writes now; compiled functions name it. It is always the newest one of
-- its declaration: a table that is again as it once was has a new one.
create or replace function audit.layout_of(t audit.tracked)
  returns integer
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select y.id
  from audit.layout as y
  where y.id = (select max(n.id) from audit.layout as n where n.tracked_id = t.id)
    and y.table_name = audit.name_of(t.target)
    and y.columns = audit.layout_columns(t)
    and y.secret = audit.secret_columns(t)
    and y.secret_numbers = audit.secret_numbers(t)
    and y.numbers = audit.column_numbers(t.target)
    and y.relation = t.target
$$;

revoke all on function audit.layout_of(audit.tracked) from public;

comment on function audit.layout_of(audit.tracked) is
  'The number of the layout of a tracked table as it is now; null where it has none yet.';

-- The settings that the text of a record is read under, and its values are shown under, by types.
create or replace function audit.reader_settings(types oid[])
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(E'\n  set ' || p.s, '' order by p.s), '')
  from (
    select unnest(audit.settings_of(reader_settings.types))
    union
    select 'timezone = ''UTC''' where 'timestamptz'::regtype = any (reader_settings.types)
    union
    -- Whatever the elements are: NULL in an array would be read as a text.
    select 'array_nulls = ''on'''
    from unnest(reader_settings.types) as u (type)
    where audit.element_of(u.type) <> u.type
  ) as p (s)
$$;

revoke all on function audit.reader_settings(oid[]) from public;

comment on function audit.reader_settings(oid[]) is
  'The clauses of a function that reads records whose columns have these types.';

-- The function that reads the records of one layout: the values of its columns in their order, each
-- as the text that audit.changes shows. Everybody may call it: it shows what it is given, and whoever
-- was granted a view of the log must be able to read it.
create or replace function audit.layout_reader(y audit.layout)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with field as (
    select e.n, (e.c ->> 'kept_as')::regtype::oid as type,
      format('v_row.%s', audit.quoted(e.c ->> 'name')) as value
    from jsonb_array_elements(y.columns) with ordinality as e (c, n)
  )
  select format(
'create or replace function audit.%1$I(row_values text)
  returns text[]
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp%2$s
as %3$L;
comment on function audit.%1$I is %4$L',
    format('layout_%s_values', y.id),
    audit.reader_settings(array(select f.type from field as f)),
    format(
'
declare
  v_row constant audit.layout_%s := row_values::audit.layout_%1$s;
begin
  return array[%2$s]::text[];
end;
', y.id, (
      select string_agg(case
          when f.type = any (array['int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'bool'::regtype,
            'text'::regtype, 'varchar'::regtype, 'uuid'::regtype]::oid[])
          then f.value || '::text'
          -- As jsonb shows it.
          else format('to_jsonb(%s) #>> ''{}''', audit.json_value(f.type, f.value, true)) end,
        E',\n    ' order by f.n)
      from field as f)),
    'Reads a record of ' || y.table_name || ': its values.')
$$;

revoke all on function audit.layout_reader(audit.layout) from public;

comment on function audit.layout_reader(audit.layout) is
  'DDL of the function that reads the values in records of a layout.';

-- The function that prints the records of one layout as changes, as jsonb would print them, with no
-- jsonb on the way: what exports ask for row by row. Everybody may call it, as the readers of a
-- layout.
create or replace function audit.layout_printer(y audit.layout)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with field as (
    select e.c ->> 'name' as name, (e.c ->> 'kept_as')::regtype::oid as type,
      format('v_row.%s', audit.quoted(e.c ->> 'name')) as value
    from jsonb_array_elements(y.columns) as e (c)
  ), member as (
    select f.name, f.type, case
        when f.type = any (array['int2'::regtype, 'int4'::regtype, 'int8'::regtype,
          'bool'::regtype, 'jsonb'::regtype]::oid[]) then f.value || '::text'
        -- As in jsonb: these have one form in both.
        when f.type = any (array['text'::regtype, 'varchar'::regtype, 'bpchar'::regtype,
          'uuid'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype]::oid[])
        then format('to_json(%s)::text', f.value)
        else format('to_jsonb(%s)::text', audit.json_value(f.type, f.value, true)) end as value
    from field as f
    union all
    select s, null, null from unnest(y.secret) as s
  ), placed as (
    -- The order of keys in jsonb.
    select m.*, row_number() over (order by octet_length(m.name), m.name collate "C") as n
    from member as m
  ), printed as (
    -- A function takes a hundred arguments at the most. What closes a member comes with the next.
    select s.side, (p.n - 1) / 50 as part, string_agg(
      format('%L', concat(case when p.n = 1 then '{' else '}, ' end, to_json(p.name), ': {',
        case when p.type is null then '"redacted": true' else format('"%s": ', s.side) end))
      || case when p.type is null then '' else format(', coalesce(%s, ''null'')', p.value) end,
      E',\n      ' order by p.n) as pieces
    from placed as p
    cross join (values ('old'), ('new')) as s (side)
    group by 1, 2
  ), shown (side, value) as (
    select s.side, coalesce(
      string_agg(format(E'concat(\n      %s)', p.pieces), E'\n    || ' order by p.part)
        filter (where p.pieces is not null) || ' || ''}}''',
      quote_literal('{}'))
    from (values ('old'), ('new')) as s (side)
    left join printed as p on p.side = s.side
    group by s.side
  )
  select format(
'create or replace function audit.%1$I(row_values text, is_deleted boolean)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp%2$s
as %3$L;
comment on function audit.%1$I is %4$L',
    format('layout_%s_text', y.id),
    audit.reader_settings(array(select f.type from field as f)),
    format(
'
declare
  v_row constant audit.layout_%s := row_values::audit.layout_%1$s;
begin
  if is_deleted then
    return %2$s;
  end if;
  return %3$s;
end;
', y.id,
      (select s.value from shown as s where s.side = 'old'),
      (select s.value from shown as s where s.side = 'new')),
    'Prints a record of ' || y.table_name || ': its changes as text.')
$$;

revoke all on function audit.layout_printer(audit.layout) from public;

comment on function audit.layout_printer(audit.layout) is
  'DDL of the function that prints the records of a layout as the text of changes.';

-- A tree of questions about a number, halved at each: of a thousand layouts ten are asked. It is put
-- together from its leaves, two and two, for it is made anew with every layout.
create or replace function audit.layout_branch(ids integer[], call text)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_firsts integer[] := ids;
  v_branches text[] := array(
    select format(E'  if layout = %s then\n    return %s;\n  end if;\n', u.id, format(call, u.id))
    from unnest(ids) with ordinality as u (id, n)
    order by u.n);
begin
  while cardinality(v_firsts) > 1 loop
    select
        array_agg(p.firsts[1] order by p.n),
        array_agg(case when cardinality(p.firsts) = 1 then p.branches[1]
          else format(E'  if layout < %s then\n%s  else\n%s  end if;\n',
            p.firsts[2], p.branches[1], p.branches[2]) end order by p.n)
      into v_firsts, v_branches
      from (
        select (u.n - 1) / 2 as n,
          array_agg(u.first order by u.n) as firsts, array_agg(u.branch order by u.n) as branches
        from unnest(v_firsts, v_branches) with ordinality as u (first, branch, n)
        group by 1
      ) as p;
  end loop;
  return coalesce(v_branches[1], '');
end;
$$;

revoke all on function audit.layout_branch(integer[], text) from public;

comment on function audit.layout_branch(integer[], text) is
  'SQL that calls the function of a layout by its number.';

-- One function that reads the records of all layouts: it goes down a tree to the one of the row.
create or replace function audit.layout_dispatcher(kind text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_ids integer[] := array(select y.id from audit.layout as y order by y.id);
  v_has_side boolean := kind <> 'values';
  v_arguments text := 'row_values' || case when v_has_side then ', is_deleted' else '' end;
  v_result text := case kind when 'text' then 'text' else 'text[]' end;
begin
  return format(
'create or replace function audit.record_%s(layout integer, %s)
  returns %s
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as %L', kind,
  'row_values text' || case when v_has_side then ', is_deleted boolean' else '' end, v_result,
  format(
'
declare
  v_shown %s;
begin
%s  -- A transaction that has held the locks on the log since before the layout was made goes on with
  -- this function as it was then; by its name the new reader is found.
  if to_regproc(format(''audit.%%I'', format(''layout_%%s_%s'', layout))) is not null then
    execute format(''select audit.%%I(%s)'', format(''layout_%%s_%s'', layout))
      into v_shown using %s;
    return v_shown;
  end if;
  raise exception ''no function reads the records of layout %%'', layout
    using errcode = ''UA003'', hint = ''Call audit.refresh(), which makes it anew.'';
end;
',
    v_result, audit.layout_branch(v_ids, format('audit.layout_%%s_%s(%s)', kind, v_arguments)),
    kind, case when v_has_side then '$1, $2' else '$1' end, kind, v_arguments));
end;
$$;

revoke all on function audit.layout_dispatcher(text) from public;

comment on function audit.layout_dispatcher(text) is
  'DDL of the function that reads a record of whichever layout.';

-- The types of records and the functions that read them, made from audit.layout where they are
-- missing: for new layouts, the first of which is given, and after a restore of data alone.
create or replace function audit.derive_layouts(first integer default 0)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set check_function_bodies = on
as $$
declare
  v_layout audit.layout;
  v_name text;
begin
  for v_layout in select * from audit.layout as y where y.id >= first order by y.id loop
    v_name := format('layout_%s', v_layout.id);
    if to_regtype(format('audit.%I', v_name)) is null then
      execute format('create type audit.%I as (%s)', v_name, (
        select coalesce(string_agg(format('%I %s', c ->> 'name', c ->> 'kept_as'), ', ' order by n), '')
        from jsonb_array_elements(v_layout.columns) with ordinality as e (c, n)));
      execute format('revoke all on type audit.%I from public', v_name);
      execute format('comment on type audit.%I is %L', v_name,
        format('The audited columns of %s, as the log keeps a whole row.', v_layout.table_name));
    end if;
    if to_regproc(format('audit.%I', v_name || '_text')) is null
      or to_regproc(format('audit.%I', v_name || '_values')) is null
    then
      execute audit.layout_reader(v_layout);
      execute audit.layout_printer(v_layout);
    end if;
  end loop;
  -- A look at each of their branches takes longer than all the rest.
  perform set_config('check_function_bodies', 'off', true);
  execute audit.layout_dispatcher('values');
  execute audit.layout_dispatcher('text');
end;
$$;

revoke all on function audit.derive_layouts(integer) from public;

comment on function audit.derive_layouts(integer) is
  'Makes the types and functions of audit.layout where they are missing.';

-- When a tracked table has a new layout: how the columns of its earlier ones are called now. From the
-- newest one back a column is known again by its number, as long as the table was the same one; in a
-- restored table, whose columns are numbered anew, by its name. A column that is gone keeps its last
-- name, or where another one has that now, the name with its number.
create or replace function audit.follow_layouts(tracked_id integer)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_layout record;
  v_relation oid;
  v_later jsonb;
  v_known jsonb := '{}';
  v_taken text[] := '{}';
  v_column record;
  v_name text;
begin
  for v_layout in
    select y.id, y.relation, y.renamed, n.numbers
    from audit.layout as y
    cross join lateral (
      select coalesce(jsonb_object_agg(c.name, c.number), '{}') as numbers
      from (
        select c ->> 'name' as name, (c ->> 'number')::integer as number
        from jsonb_array_elements(y.columns) as c
        union all
        select s.name, s.number from unnest(y.secret, y.secret_numbers) as s (name, number)
        where s.number is not null
      ) as c
    ) as n
    where y.tracked_id = follow_layouts.tracked_id
    order by y.id desc
  loop
    if v_later is not null and v_layout.relation is distinct from v_relation then
      select coalesce(jsonb_object_agg(e.value #>> '{}', v_known -> (v_later ->> e.key)), '{}')
        into v_known
        from jsonb_each(v_layout.numbers) as e
        where v_later ? e.key;
    end if;
    for v_column in
      select e.key as name, e.value as number from jsonb_each_text(v_layout.numbers) as e
      where not v_known ? e.value
      order by e.value::integer
    loop
      v_name := v_column.name;
      while v_name = any (v_taken) loop
        v_name := v_name || '#' || v_column.number;
      end loop;
      v_taken := v_taken || v_name;
      v_known := v_known || jsonb_build_object(v_column.number, v_name);
    end loop;
    update audit.layout as y
      set renamed = r.renamed
      from (
        select jsonb_object_agg(e.key, v_known -> e.value) as renamed
        from jsonb_each_text(v_layout.numbers) as e
        where v_known ->> e.value <> e.key
      ) as r
      where y.id = v_layout.id and y.renamed is distinct from r.renamed;
    v_relation := v_layout.relation;
    v_later := v_layout.numbers;
  end loop;
end;
$$;

revoke all on function audit.follow_layouts(integer) from public;

comment on function audit.follow_layouts(integer) is
  'Says in all layouts of a declaration which columns have another name in the newest one.';

-- A layout with the next number. Types and functions are made of it afterwards, by
-- audit.derive_layouts(); its table is locked already.
create or replace function audit.add_layout(y audit.layout)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  select coalesce(max(n.id), 0) + 1 into y.id from audit.layout as n;
  -- A dump of the schema alone brings types of layouts, and no layouts.
  while to_regtype(format('audit.layout_%s', y.id)) is not null loop
    y.id := y.id + 1;
  end loop;
  y.names := array(
    select e.c ->> 'name' from jsonb_array_elements(y.columns) with ordinality as e (c, n)
    order by e.n);
  y.renamed := null;
  y.made_at := coalesce(y.made_at, clock_timestamp());
  insert into audit.layout select y.*;
  return y.id;
end;
$$;

revoke all on function audit.add_layout(audit.layout) from public;

comment on function audit.add_layout(audit.layout) is
  'Adds a layout, whatever number it came with, and says the number that it has now.';

-- Before a table is compiled: its layout is there, with the type and the function that go with it.
create or replace function audit.settle_layout(t audit.tracked)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_layout integer := audit.layout_of(t);
  v_new audit.layout;
begin
  if v_layout is not null then
    return v_layout;
  end if;
  lock table audit.layout in share row exclusive mode;
  v_new.tracked_id := t.id;
  v_new.table_name := audit.name_of(t.target);
  v_new.columns := audit.layout_columns(t);
  v_new.secret := audit.secret_columns(t);
  v_new.secret_numbers := audit.secret_numbers(t);
  v_new.numbers := audit.column_numbers(t.target);
  v_new.relation := t.target;
  v_layout := audit.add_layout(v_new);
  perform audit.derive_layouts(v_layout);
  perform audit.follow_layouts(t.id);
  return v_layout;
end;
$$;

revoke all on function audit.settle_layout(audit.tracked) from public;

comment on function audit.settle_layout(audit.tracked) is
  'The number of the layout that a tracked table writes now, made where it has none yet.';

-- What a column is called now. The paths of parts are told apart by their slashes.
create or replace function audit.name_now(renamed jsonb, name text)
  returns text
  language sql
  immutable
  cost 1
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    renamed ->> name,
    substring(name from '^[^/]*/[^/]*/')
      || (renamed ->> substring(name from '^[^/]*/[^/]*/(.*)$')),
    name)
$$;

-- Whoever was granted a view of the log must be able to read it.
grant execute on function audit.name_now(jsonb, text) to public;

comment on function audit.name_now(jsonb, text) is
  'Public. What a column, or the path of a part''s column, is called now, by what its layout has as '
  'renamed.';

-- The values in a record of the log. Made anew for each layout; here for none, since views name it.
do $$
begin
  execute audit.layout_dispatcher('values');
end;
$$;

-- Whoever was granted a view of the log must be able to read it.
grant execute on function audit.record_values(integer, text) to public;

comment on function audit.record_values(integer, text) is
  'Public. The values in a record of the log as text, in the order of the columns of its layout.';

-- What a record of the log stands for, printed: no jsonb is made on the way, which is most of what
-- reading a whole log costs. Made anew for each layout.
do $$
begin
  execute audit.layout_dispatcher('text');
end;
$$;

-- Whoever was granted the log must be able to read it.
grant execute on function audit.record_text(integer, text, boolean) to public;

comment on function audit.record_text(integer, text, boolean) is
  'Public. What a record of the log stands for, as text: audit.record_changes(), printed.';

-- What a record of the log stands for. To print it and read that is quicker than to put jsonb
-- together.
create or replace function audit.record_changes(layout integer, row_values text, is_deleted boolean)
  returns jsonb
  language sql
  immutable
  cost 10000
  set search_path = pg_catalog, pg_temp
as $$
  select audit.record_text(layout, row_values, is_deleted)::jsonb
$$;

-- Whoever was granted a view of the log must be able to read it.
grant execute on function audit.record_changes(integer, text, boolean) to public;

comment on function audit.record_changes(integer, text, boolean) is
  'Public. What a record of the log stands for, as audit.events shows it in changes.';

-- The columns whose change is an action, with the SQL that compares and shows them.
create or replace function audit.audited_columns(t audit.tracked, old_side text default 'old')
  returns table (
    number smallint,
    name text,
    ident text,
    is_key boolean,
    differs text,
    old_entry text,
    new_entry text,
    both_entry text
  )
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with side as materialized (
      select audit.row_names(t, old_side) as old_names, audit.row_names(t, 'new') as new_names
    )
    select
      c.number, c.name, c.ident, c.is_key,
      audit.difference(c.declared_type, c.is_plain and old_side = 'old',
        case old_side when 'old' then 'old.' || c.field else v.old_value end,
        case old_side when 'old' then 'new.' || c.field else v.new_value end),
      -- Functions that show whole rows run in UTC: audit.settings_for.
      case when c.name = any (t.secret) then '(select true as redacted)'
        else format('(select %s as old)', audit.json_value(c.type, v.old_value, true)) end,
      case when c.name = any (t.secret) then '(select true as redacted)'
        else format('(select %s as new)', audit.json_value(c.type, v.new_value, true)) end,
      case when c.name = any (t.secret) then 'jsonb ''{"redacted": true}'''
        -- What becomes a JSON string anyway needs no look at its type.
        else format(case when c.type in ('text'::regtype, 'varchar'::regtype,
            'timestamptz'::regtype, 'bytea'::regtype, 'json'::regtype)
            then 'jsonb_object(array[''old'', %s, ''new'', %s]::text[])'
            else 'jsonb_build_object(''old'', %s, ''new'', %s)' end,
          audit.json_value(c.type, v.old_value), audit.json_value(c.type, v.new_value)) end
    from audit.columns_of(t.target) as c
    cross join side as s
    cross join lateral (
      select s.old_names ->> c.name as old_value, s.new_names ->> c.name as new_value
    ) as v
    where c.name <> all (t.operational)
    order by c.number;
end;
$$;

revoke all on function audit.audited_columns(audit.tracked, text) from public;

comment on function audit.audited_columns(audit.tracked, text) is
  'The audited columns of a declaration, with SQL to compare them and to show their values.';

-- What about a table decides the kind of its triggers.
create or replace function audit.table_trait(target regclass, with_partitions boolean default true)
  returns table (
    is_partitioned boolean,
    has_before_update boolean,
    has_after_insert boolean,
    has_after_delete boolean,
    partition_columns text[]
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    c.relkind = 'p',
    -- tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 64 instead of.
    coalesce(bool_or(g.tgtype & 19 = 19), false),
    coalesce(bool_or(g.tgtype & 71 = 5), false),
    coalesce(bool_or(g.tgtype & 75 = 9), false),
    -- Those of all levels. A key of expressions leaves no primary key.
    coalesce((
      select array_agg(distinct a.attname::text)
      from pg_partition_tree(c.oid) as r
      join pg_partitioned_table as p on p.partrelid = r.relid
      join pg_attribute as a on a.attrelid = p.partrelid and a.attnum = any (p.partattrs::int2[])
      where with_partitions
    ), '{}')
  from pg_class as c
  left join lateral (
    select g.tgtype
    from (
      select c.oid
      union
      select p.relid from pg_partition_tree(c.oid) as p where with_partitions and c.relkind = 'p'
    ) as r (oid)
    join pg_trigger as g on g.tgrelid = r.oid
    where not g.tgisinternal and g.tgname !~ '^_audit_'
  ) as g on true
  where c.oid = table_trait.target
  group by c.oid, c.relkind
$$;

revoke all on function audit.table_trait(regclass, boolean) from public;

comment on function audit.table_trait(regclass, boolean) is
  'Whether a table is partitioned, by which columns, and which triggers of its own it, or it and '
  'its partitions, have.';

-- Whether an expression names a function, a type or an operator that is not PostgreSQL's own. Those
-- are found once, when the declaration is made, and kept: by their names something else could be
-- found later. What has no schema can only be PostgreSQL's.
create or replace function audit.is_bound(expression text)
  returns boolean
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from audit.tokens_of(is_bound.expression) as t
    where t.name is null
      and (t.token ~* '^operator\s*\($'
        or t.token ~ '^(?:::|[aA][sS])?\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)\s*\.'
          and t.token !~* '^(?:::|as)?\s*"?pg_catalog"?\s*\.'))
$$;

revoke all on function audit.is_bound(text) from public;

comment on function audit.is_bound(text) is
  'Whether a declared expression uses something that is not PostgreSQL''s own.';

-- What names in a condition stand for: old and new row, and for rows that came or went the one
-- there is.
create or replace function audit.condition_names(t audit.tracked, event text, old_side text)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_object_agg(q.prefix || c.key, c.value), '{}')
  from (
    select 'new' as side, unnest(case event when 'update' then array['new.']
        when 'insert' then array['new.', ''] else '{}' end) as prefix
    union all
    select 'old', unnest(case event when 'update' then array['old.']
        when 'delete' then array['old.', ''] else '{}' end)
  ) as q
  cross join lateral jsonb_each_text(audit.row_names(t,
    case q.side when 'new' then 'new' else old_side end)) as c
$$;

revoke all on function audit.condition_names(audit.tracked, text, text) from public;

comment on function audit.condition_names(audit.tracked, text, text) is
  'SQL for each name that a condition of an event may use.';

-- A lookup names a column; its foreign key says which row is meant.
create or replace function audit.foreign_key_of(relation regclass, column_name text)
  returns table (
    target regclass,
    key_column text,
    key_type oid,
    key_operator text
  )
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select
      c.confrelid::regclass,
      k.attname::text,
      a.atttypid,
      format('operator(%I.%s)', n.nspname, o.oprname)
    from pg_constraint as c
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    join pg_attribute as k on k.attrelid = c.confrelid and k.attnum = c.confkey[1]
    join pg_operator as o on o.oid = c.conpfeqop[1]
    join pg_namespace as n on n.oid = o.oprnamespace
    where c.conrelid = foreign_key_of.relation
      and c.contype = 'f'
      -- A key to a partitioned table has a copy of itself for each partition.
      and not exists (select from pg_constraint as q
                      where q.oid = c.conparentid and q.conrelid = c.conrelid)
      and cardinality(c.conkey) = 1
      and a.attname = foreign_key_of.column_name
    order by c.conname
    limit 1;
end;
$$;

revoke all on function audit.foreign_key_of(regclass, text) from public;

comment on function audit.foreign_key_of(regclass, text) is
  'The table and key that a single-column foreign key refers to.';

-- Where one lookup of a declaration leads: by the foreign key of its column, or while there is none
-- by the one that there was, for as long as the table is there. Migrations drop keys to make them
-- again.
create or replace function audit.looked_up(
  t audit.tracked, alias text, relation regclass, column_name text
)
  returns table (target regclass, key_column text, key_type oid, key_operator text)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select k.* from audit.foreign_key_of(relation, column_name) as k;
  if not found then
    return query
      select a.attrelid::regclass, a.attname::text, s.atttypid, c ->> 'operator'
      from jsonb_array_elements(t.columns) as c
      join pg_attribute as a
        on a.attrelid = t.tables[(c ->> 'table')::int] and a.attnum > 0 and not a.attisdropped
        and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
          else a.attname = c ->> 'name' end
      join pg_attribute as s on s.attrelid = looked_up.relation
        and s.attname = looked_up.column_name and s.attnum = (c ->> 'source')::int
      where c ->> 'alias' = looked_up.alias and c ->> 'operator' is not null;
  end if;
end;
$$;

revoke all on function audit.looked_up(audit.tracked, text, regclass, text) from public;

comment on function audit.looked_up(audit.tracked, text, regclass, text) is
  'The table and key that a lookup leads to.';

-- Whether there is a boundary at all between a table's owner and the log: none where it is a
-- superuser, or the owner of the log itself.
create or replace function audit.is_trusted(role oid)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select r.rolsuper
    or r.oid = (select c.relowner from pg_class as c where c.oid = 'audit.log'::regclass)
  from pg_roles as r
  where r.oid = is_trusted.role
$$;

revoke all on function audit.is_trusted(oid) from public;

comment on function audit.is_trusted(oid) is
  'Whether a role is a superuser or the owner of the log.';

-- Compiled functions belong to roles of least rights: audit_writer, which can add rows to the log
-- and nothing else, and audit_lookup, which can read the looked-up columns and nothing else. Where
-- the owner of the log has no such role to give, to the owner itself.
create or replace function audit.role_for(role text)
  returns name
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when role_for.role <> 'owner' and to_regrole(role_for.role) is not null
      and (r.rolsuper or pg_has_role(r.oid, to_regrole(role_for.role),
        case when current_setting('server_version_num')::integer < 160000 then 'MEMBER'
          else 'SET' end))
    then role_for.role::name
    else r.rolname end
  from pg_class as c
  join pg_roles as r on r.oid = c.relowner
  where c.oid = 'audit.log'::regclass
$$;

revoke all on function audit.role_for(text) from public;

comment on function audit.role_for(text) is
  'The role that a compiled function shall belong to: audit_writer, audit_lookup, or else the owner '
  'of the log.';

-- How a compiled function reads another table. Planning a query on somebody's table runs that one's
-- code (index expressions, checks of inheritance children), so it is done by a function of
-- audit_lookup; but in place where the table is the log owner's or a superuser's, and its keys are
-- of types of PostgreSQL's own. Where such a table has row security, a function of the log's owner
-- sees past it.
create or replace function audit.reader_of(relation regclass, key_types oid[])
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when not audit.is_trusted(c.relowner) or c.relkind not in ('r', 'p')
      or exists (select from unnest(key_types) as k where not audit.is_builtin(k))
    then 'audit_lookup'
    when c.relrowsecurity then 'owner'
    else 'inline' end
  from pg_class as c
  where c.oid = relation
$$;

revoke all on function audit.reader_of(regclass, oid[]) from public;

comment on function audit.reader_of(regclass, oid[]) is
  'Who reads a looked-up table: inline, a function of the log''s owner (owner), or one of '
  'audit_lookup.';

-- Whether row security could hide rows of a table; then track() has asked for the policy that shows
-- them to audit_lookup.
create or replace function audit.is_filtered(relation regclass)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select c.relrowsecurity and not audit.is_trusted(c.relowner)
  from pg_class as c
  where c.oid = relation
$$;

revoke all on function audit.is_filtered(regclass) from public;

comment on function audit.is_filtered(regclass) is
  'Whether audit_lookup reads a table under row security.';

-- Where each declared lookup leads: the table, its key, and which of its columns are asked for.
create or replace function audit.lookups_of(t audit.tracked)
  returns table (
    depth integer,
    alias text,
    source text,
    source_column text,
    target regclass,
    key_column text,
    key_type oid,
    key_operator text,
    columns text[],
    reader text
  )
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with recursive wanted as (
      select
        e.key as alias,
        case when strpos(e.value, '.') > 0 then split_part(e.value, '.', 1) end as source,
        case when strpos(e.value, '.') > 0 then split_part(e.value, '.', 2) else e.value end as col
      from jsonb_each_text(t.lookups) as e
    ), resolved as (
      select 1 as depth, w.alias, w.source, w.col, k.*
      from wanted as w
      cross join lateral audit.looked_up(t, w.alias, t.target, w.col) as k
      where w.source is null
      union all
      select r.depth + 1, w.alias, w.source, w.col, k.*
      from resolved as r
      join wanted as w on w.source = r.alias
      cross join lateral audit.looked_up(t, w.alias, r.target, w.col) as k
      where r.depth < 8
    )
    select
      r.depth, r.alias, r.source, r.col, r.target, r.key_column, r.key_type, r.key_operator,
      coalesce((
        select array_agg(distinct substr(n, length(r.alias) + 2)
                         order by substr(n, length(r.alias) + 2))
        from unnest(array[t.item_id, t.item_label, t.account, t.parent_id, t.part_name]) as e
        cross join lateral audit.names_in(e) as n
        where starts_with(n, r.alias || '.')
      ), '{}') || coalesce((
        select array_agg(w.col) from wanted as w where w.source = r.alias
      ), '{}'),
      audit.reader_of(r.target, array[r.key_type, (
        select a.atttypid from pg_attribute as a
        where a.attrelid = r.target and a.attname = r.key_column)])
    from resolved as r
    order by r.depth, r.alias;
end;
$$;

revoke all on function audit.lookups_of(audit.tracked) from public;

comment on function audit.lookups_of(audit.tracked) is
  'The lookups of a declaration, resolved through foreign keys, in the order they depend.';

-- The foreign keys by which a row of a table goes with its parent.
create or replace function audit.cascades_of(t audit.tracked)
  returns table (
    number bigint,
    name text,
    target regclass,
    reader text,
    columns text[],
    parent_columns text[],
    types oid[],
    operators text[]
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    f.number, format('%s_parent_%s', t.slug, f.number), f.confrelid,
    audit.reader_of(f.confrelid, f.key_types),
    f.columns, f.parent_columns, f.types, f.operators
  from (
    select
      row_number() over (order by c.conname) as number,
      c.confrelid::regclass as confrelid,
      array_agg(a.attname::text order by k.n) as columns,
      array_agg(b.attname::text order by k.n) as parent_columns,
      array_agg(a.atttypid order by k.n) as types,
      array_agg(a.atttypid) || array_agg(b.atttypid) as key_types,
      array_agg(format('operator(%I.%s)', s.nspname, o.oprname) order by k.n) as operators
    from pg_constraint as c
    cross join lateral unnest(c.conkey, c.confkey, c.conpfeqop)
      with ordinality as k (child, parent, equals, n)
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.child
    join pg_attribute as b on b.attrelid = c.confrelid and b.attnum = k.parent
    join pg_operator as o on o.oid = k.equals
    join pg_namespace as s on s.oid = o.oprnamespace
    where c.conrelid = t.target and c.contype = 'f' and c.confdeltype = 'c'
      -- One that is not enforced deletes nothing.
      and pg_get_constraintdef(c.oid) !~ ' NOT ENFORCED$'
      -- A key to a partitioned table has a copy of itself for each partition.
      and not exists (select from pg_constraint as q
                      where q.oid = c.conparentid and q.conrelid = c.conrelid)
    group by c.oid, c.confrelid, c.conname
  ) as f
$$;

revoke all on function audit.cascades_of(audit.tracked) from public;

comment on function audit.cascades_of(audit.tracked) is
  'The foreign keys of a table that delete its rows with their parents, and who may read those.';

-- Which names a declared expression may use, and the types that it sees them in.
create or replace function audit.name_types(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_object_agg(n.name, audit.builtin_name(n.type)), '{}')
  from (
    select q.prefix || c.name as name, c.type
    from audit.columns_of(t.target) as c
    cross join unnest(array['', 'old.', 'new.']) as q (prefix)
    union all
    select l.alias || '.' || a.attname, audit.presented_type(a.atttypid)
    from audit.lookups_of(t) as l
    join pg_attribute as a on a.attrelid = l.target and a.attnum > 0 and not a.attisdropped
  ) as n
$$;

revoke all on function audit.name_types(audit.tracked) from public;

comment on function audit.name_types(audit.tracked) is
  'The names that expressions of a declaration may use, with their types.';

-- An expression as the body of a function over what it needs: the names that it uses, in an order
-- that its callers keep, their types, and itself with the number of a parameter in place of each.
create or replace function audit.over_parameters(
  t audit.tracked, expression text, pattern text,
  out arguments text[], out types text[], out body text
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_types jsonb := audit.name_types(t);
  v_places jsonb;
begin
  select coalesce(array_agg(n.name order by n.name), '{}'),
      coalesce(array_agg(v_types ->> n.name order by n.name), '{}')
    into arguments, types
    from audit.names_in(expression) as n (name)
    where v_types ? n.name and n.name ~ pattern;
  select coalesce(jsonb_object_agg(a.name, format('($%s)', a.place)), '{}') into v_places
    from unnest(arguments) with ordinality as a (name, place);
  body := audit.rewrite_expression(expression, v_places);
end;
$$;

revoke all on function audit.over_parameters(audit.tracked, text, text) from public;

comment on function audit.over_parameters(audit.tracked, text, text) is
  'An expression over numbered parameters: which of the names that fit a pattern they stand for, their '
  'types, and the text.';

-- The expressions of a declaration, each with where it stands and the type that it gives: the events
-- are those of a rule's condition.
create or replace function audit.expressions_of(t audit.tracked)
  returns table (slot text, expression text, result text, events jsonb)
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select e.slot, e.expression, 'text', null::jsonb
  from (values ('item_id', t.item_id), ('item_label', t.item_label), ('account', t.account),
    ('parent_id', t.parent_id), ('part_name', t.part_name)) as e (slot, expression)
  where e.expression is not null
  union all
  select 'when', r.rule ->> 'when', 'bool', r.rule -> 'on'
  from jsonb_array_elements(t.actions) as r (rule)
  where r.rule ? 'when'
$$;

revoke all on function audit.expressions_of(audit.tracked) from public;

comment on function audit.expressions_of(audit.tracked) is
  'The expressions of a declaration that stand for values of a row, and the conditions of its rules.';

-- An expression that uses functions of the log's owner, as a function over what it needs: with a
-- body that is parsed once, so that what its names mean cannot change.
create or replace function audit.bound_function(
  t audit.tracked, expression text, result text, out name text, out ddl text, out arguments text[]
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_types text[];
  v_body text;
begin
  select o.arguments, o.types, o.body into arguments, v_types, v_body
    from audit.over_parameters(t, expression, '') as o;
  ddl := format(E'(%s)\n  returns pg_catalog.%s\n  language sql\n  stable\n  return (%s)%s',
    array_to_string(v_types, ', '), result, v_body,
    case when result = 'text' then '::pg_catalog.text' else '' end);
  name := t.slug || '_x' || left(md5(ddl), 8);
  ddl := format('create or replace function audit.%I', name) || ddl;
end;
$$;

revoke all on function audit.bound_function(audit.tracked, text, text) from public;

comment on function audit.bound_function(audit.tracked, text, text) is
  'Name, DDL and arguments of the function that keeps what the names in an expression mean.';

-- A declared expression over a row: in place, or as a call of the function that it was bound to.
create or replace function audit.bind_expression(
  t audit.tracked, expression text, names jsonb, result text
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when audit.is_bound(expression) then (
      select format('audit.%I(%s)', f.name, (
        select coalesce(string_agg(coalesce(names ->> a.name,
          format('%I.%I', split_part(a.name, '.', 1), split_part(a.name, '.', 2))),
          ', ' order by a.place), '')
        from unnest(f.arguments) with ordinality as a (name, place)))
      from audit.bound_function(t, expression, result) as f)
    else audit.rewrite_expression(expression, names) end
$$;

revoke all on function audit.bind_expression(audit.tracked, text, jsonb, text) from public;

comment on function audit.bind_expression(audit.tracked, text, jsonb, text) is
  'SQL for a declared expression, with what its names stand for.';

-- The functions that keep what the names in the expressions of a declaration mean.
create or replace function audit.bound_functions(t audit.tracked)
  returns table (name text, ddl text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select distinct f.name, f.ddl
  from audit.expressions_of(t) as e
  cross join lateral audit.bound_function(t, e.expression, e.result) as f
  where audit.is_bound(e.expression)
$$;

revoke all on function audit.bound_functions(audit.tracked) from public;

comment on function audit.bound_functions(audit.tracked) is
  'The functions that the expressions of a declaration are bound to.';

-- The declared actions of one event, in order of precedence.
create or replace function audit.rules_of(t audit.tracked, event text, old_side text default 'old')
  returns table (
    number bigint,
    action text,
    columns text[],
    condition text,
    is_grouped boolean
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (
    select audit.condition_names(t, rules_of.event, old_side) as names
    from jsonb_array_elements(t.actions) as r
    where r ? 'when' and r -> 'on' @> to_jsonb(rules_of.event)
    limit 1
  )
  select
    r.number,
    r.rule ->> 'action',
    case when r.rule ? 'columns' then
      (select array_agg(c.value) from jsonb_array_elements_text(r.rule -> 'columns') as c) end,
    case when r.rule ? 'when' then audit.bind_expression(t, r.rule ->> 'when',
      n.names, 'bool') end,
    coalesce((r.rule -> 'grouped')::boolean, false)
  from jsonb_array_elements(t.actions) with ordinality as r (rule, number)
  left join known as n on true
  where r.rule -> 'on' @> to_jsonb(rules_of.event)
  order by r.number
$$;

revoke all on function audit.rules_of(audit.tracked, text, text) from public;

comment on function audit.rules_of(audit.tracked, text, text) is
  'The actions that a declaration gives to one event.';

-- What is read of a looked-up table: the columns that expressions name, as compiled functions see
-- them.
create or replace function audit.lookup_columns(relation regclass, names text[], key_column text)
  returns table (list text, idents text, typed text, types text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    string_agg(format('%s as %s', audit.presented(a.atttypid, '_audit_p.' || q.ident), q.ident),
      ', ' order by a.attnum),
    string_agg(q.ident, ', ' order by a.attnum),
    string_agg(q.ident || ' ' || q.type, ', ' order by a.attnum),
    string_agg(format('_audit_%s %s', a.attnum, q.type), ', ' order by a.attnum)
  from pg_attribute as a
  cross join lateral (
    select audit.quoted(a.attname) as ident,
      audit.builtin_name(audit.presented_type(a.atttypid)) as type
  ) as q
  where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    and (a.attname = any (names) or (names = '{}' and a.attname = key_column))
$$;

revoke all on function audit.lookup_columns(regclass, text[], text) from public;

comment on function audit.lookup_columns(regclass, text[], text) is
  'SQL for the columns that a lookup reads: to select, to name, and to declare.';

-- The functions that read looked-up rows are numbered: an alias may be anything.
create or replace function audit.lookup_name(t audit.tracked, alias text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('%s_lookup_%s', t.slug, count(*))
  from jsonb_object_keys(t.lookups) as k
  where k <= lookup_name.alias
$$;

revoke all on function audit.lookup_name(audit.tracked, text) from public;

comment on function audit.lookup_name(audit.tracked, text) is
  'The name of the compiled function that reads a looked-up row.';

-- One looked-up row by its key. A key of somebody's type is compared as that type, which takes code
-- of that one's: where there is any, this stands in a function of audit_lookup.
create or replace function audit.lookup_query(
  relation regclass, list text, key_column text, key_operator text, value text, key_type oid
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('select %s from %I.%I as _audit_p where _audit_p.%s %s %s limit 1',
    list, n.nspname, c.relname, audit.quoted(key_column), key_operator,
    case when audit.is_builtin(key_type) then value
      else format('(%s)::%s', value, format_type(key_type, null)) end)
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = relation
$$;

revoke all on function audit.lookup_query(regclass, text, text, text, text, oid) from public;

comment on function audit.lookup_query(regclass, text, text, text, text, oid) is
  'SQL that reads one looked-up row by its key.';

-- Whether a parent is still there, by the values of a foreign key to it.
create or replace function audit.parent_query(
  parent regclass, parent_columns text[], operators text[], vals text[], types oid[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('not exists (select from %I.%I as _audit_p where %s)', n.nspname, c.relname, (
    select string_agg(format('_audit_p.%s %s %s', audit.quoted(k.name), k.operator,
        case when audit.is_builtin(k.type) then k.value
          else format('(%s)::%s', k.value, format_type(k.type, null)) end), ' and ' order by k.n)
    from unnest(parent_columns, operators, vals, types)
      with ordinality as k (name, operator, value, type, n)))
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = parent
$$;

revoke all on function audit.parent_query(regclass, text[], text[], text[], oid[]) from public;

comment on function audit.parent_query(regclass, text[], text[], text[], oid[]) is
  'SQL that says whether the row that a foreign key refers to is gone.';

-- The accounts of a row: a query in brackets where it reads tables of the log's owner alone, else a
-- call of the function that is among audit.reader_functions().
create or replace function audit.account_query(t audit.tracked, names jsonb)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when t.account_reader = 'inline'
    then format(E'(\n    %s\n  )', audit.rewrite_expression(t.accounts, q.names))
    else format('audit.%I(%s)', t.slug || '_accounts', (
      select string_agg(q.names ->> a.name, ', ' order by a.place)
      from audit.over_parameters(t, t.accounts, '^new\.') as o
      cross join unnest(o.arguments) with ordinality as a (name, place))) end
  from (
    select jsonb_object_agg('new.' || e.key, e.value) as names from jsonb_each_text(names) as e
  ) as q
$$;

revoke all on function audit.account_query(audit.tracked, jsonb) from public;

comment on function audit.account_query(audit.tracked, jsonb) is
  'SQL, after FROM, for the accounts of a row.';

-- Whether a compiled function plans queries on other tables itself.
create or replace function audit.reads_inline(t audit.tracked, event text)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (select from audit.lookups_of(t) as l where l.reader = 'inline')
    or coalesce(t.account_reader = 'inline', false)
    or (event = 'delete'
      and exists (select from audit.cascades_of(t) as c where c.reader = 'inline'))
$$;

revoke all on function audit.reads_inline(audit.tracked, text) from public;

comment on function audit.reads_inline(audit.tracked, text) is
  'Whether the compiled function of an event reads other tables itself.';

-- The frame of a compiled function that reads another table for a trigger function: rows seen as of
-- the statement that asks, one index probe also in a plan made when the table was empty, and an
-- error where row security would hide a row that has no policy for it.
create or replace function audit.reader_function(
  name text, parameters text[], result text, query text, is_filtered boolean
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  select format(
'create or replace function audit.%I(%s)
  returns %s
  language plpgsql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off%s
as %L',
    name, array_to_string(parameters, ', '), result,
    case when is_filtered then '' else E'\n  set row_security = off' end,
    format(E'\nbegin\n  return%s\n    %s;\nend;\n',
      case when result ~ '^(table|setof)' then ' query' else '' end, query))
$$;

revoke all on function audit.reader_function(text, text[], text, text, boolean) from public;

comment on function audit.reader_function(text, text[], text, text, boolean) is
  'DDL of a compiled function that reads somebody''s table.';

-- The functions that read other tables for the trigger functions of a table, where those may not do
-- it themselves: looked-up rows, parents of a cascade, accounts.
create or replace function audit.reader_functions(t audit.tracked)
  returns table (name text, ddl text, reader text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select f.name, audit.reader_function(f.name, f.parameters, 'table (' || c.types || ')',
    audit.lookup_query(l.target, c.list, l.key_column, l.key_operator, '$1', l.key_type),
    audit.is_filtered(l.target)), l.reader
  from audit.lookups_of(t) as l
  cross join lateral audit.lookup_columns(l.target, l.columns, l.key_column) as c
  cross join lateral (
    select audit.lookup_name(t, l.alias) as name,
      array[audit.builtin_name(audit.presented_type(l.key_type))] as parameters
  ) as f
  where l.reader <> 'inline'
  union all
  select c.name, audit.reader_function(c.name, f.parameters, 'pg_catalog.bool',
    audit.parent_query(c.target, c.parent_columns, c.operators, f.vals, c.types),
    audit.is_filtered(c.target)), c.reader
  from audit.cascades_of(t) as c
  cross join lateral (
    select
      array_agg(audit.builtin_name(audit.presented_type(u.type)) order by u.n) as parameters,
      array_agg('$' || u.n order by u.n) as vals
    from unnest(c.types) with ordinality as u (type, n)
  ) as f
  where c.reader <> 'inline' and exists (select from audit.rules_of(t, 'delete'))
  union all
  select t.slug || '_accounts', audit.reader_function(t.slug || '_accounts', o.types,
    'setof pg_catalog.text',
    format('select _audit_a.id::pg_catalog.text from (%s) as _audit_a (id)', o.body),
    exists (select from unnest(t.account_tables) as r where audit.is_filtered(r))), t.account_reader
  from audit.over_parameters(t, t.accounts, '^new\.') as o
  where t.account_reader <> 'inline'
$$;

revoke all on function audit.reader_functions(audit.tracked) from public;

comment on function audit.reader_functions(audit.tracked) is
  'The compiled functions that read tables for the triggers of a table, and whose rights they need.';

-- The function that fetches what deleted rows look up does nothing but read, and so belongs as a
-- whole to whom may read all of it.
create or replace function audit.departed_reader(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when bool_or(l.reader = 'owner') and not bool_or(l.reader = 'audit_lookup')
    then 'owner' else 'audit_lookup' end
  from audit.lookups_of(t) as l
$$;

revoke all on function audit.departed_reader(audit.tracked) from public;

comment on function audit.departed_reader(audit.tracked) is
  'Whose rights the compiled function has that fetches what deleted rows look up.';

-- The settings that the compiled functions of a table pin: for the values of its columns, and for
-- what its expressions make of times. A function that shows whole rows runs in UTC, which costs
-- less than to convert each time; one that shows what changed seldom has a time to show.
create or replace function audit.settings_for(t audit.tracked, whole_rows boolean)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with expression as (
    select e.text
    from unnest(array[t.item_id, t.item_label, t.account, t.accounts, t.parent_id, t.part_name]
      || array(select r ->> 'when' from jsonb_array_elements(t.actions) as r)) as e (text)
    where e.text is not null
  ), used as (
    select c.declared_type as type
    from expression as e
    cross join lateral audit.names_in(e.text) as n
    join audit.columns_of(t.target) as c on n in (c.name, 'old.' || c.name, 'new.' || c.name)
    union
    select c.declared_type
    from audit.lookups_of(t) as l
    join audit.columns_of(l.target) as c on c.name = any (l.columns || l.key_column)
  )
  select coalesce(array_agg(distinct s.setting order by s.setting), '{}')
  from (
    select unnest(audit.settings_of(array(
        select c.declared_type from audit.columns_of(t.target) as c
        where c.name <> all (t.operational))
      || array(select u.type from used as u))) as setting
    union all
    select 'timezone = ''UTC'''
    where whole_rows and exists (select from audit.columns_of(t.target) as c
      where c.name <> all (t.operational) and c.type = 'timestamptz'::regtype)
    union all
    -- The text of a whole row, unlike its JSON, has dates as the session likes them.
    select 'datestyle = ''ISO'''
    where whole_rows and exists (select from audit.columns_of(t.target) as c
      where c.name <> all (t.operational) and audit.element_of(c.type) in (
        'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype))
    union all
    select unnest(array['timezone = ''UTC''', 'datestyle = ''ISO'''])
    where exists (select from used as u where u.type in ('timestamptz'::regtype,
      'timestamp'::regtype, 'date'::regtype, 'timetz'::regtype))
  ) as s
$$;

revoke all on function audit.settings_for(audit.tracked, boolean) from public;

comment on function audit.settings_for(audit.tracked, boolean) is
  'The settings that the compiled functions of a table pin; more where they show whole rows.';

-- The joins of a compiled statement that fetch looked-up rows. Lateral with a limit, so that every
-- plan is one index probe for each row: a plan made for one row then serves a hundred thousand.
create or replace function audit.lookup_join(t audit.tracked, names jsonb, with_departed boolean)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(format(
E'\n  left join lateral (\n    %s\n  ) as %I (%s) on true',
    format(case when with_departed
        then E'(%1$s)'
          '\n    union all'
          '\n    select %2$s from jsonb_to_record(_audit.v_departed -> (%3$L || %4$s)) as _audit_p (%5$s)'
          '\n    where _audit.v_departed ? (%3$L || %4$s)'
          '\n    limit 1'
        else '%1$s' end,
      f.query, f.idents, f.alias || ':', audit.text_value(f.presented_type, f.value), f.typed),
    f.alias, f.idents), '' order by f.depth, f.alias), '')
  from (
    select l.depth, l.alias, s.value, c.idents, c.typed,
      audit.presented_type(l.key_type) as presented_type,
      case when l.reader = 'inline'
        then audit.lookup_query(l.target, c.list, l.key_column, l.key_operator, s.value, l.key_type)
        else format('select * from audit.%I(%s)', audit.lookup_name(t, l.alias), s.value) end as query
    from audit.lookups_of(t) as l
    cross join lateral audit.lookup_columns(l.target, l.columns, l.key_column) as c
    cross join lateral (
      select case when l.source is null then names ->> l.source_column
        else format('%I.%s', l.source, audit.quoted(l.source_column)) end as value
    ) as s
  ) as f
$$;

revoke all on function audit.lookup_join(audit.tracked, jsonb, boolean) from public;

comment on function audit.lookup_join(audit.tracked, jsonb, boolean) is
  'Joins that fetch the looked-up rows of a compiled statement.';

-- A declared expression as text over the bound row. A lone column is turned into text the way its
-- type is; anything else by a cast.
create or replace function audit.bind_text(t audit.tracked, expression text, names jsonb)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text := audit.fold_name(trim(bind_text.expression));
begin
  if bind_text.expression is null then
    return '(null)::text';
  end if;
  return coalesce(
    (select audit.text_value(c.type, names ->> c.name)
     from audit.columns_of(t.target) as c
     where c.name = v_name),
    (select audit.text_value(audit.presented_type(a.atttypid), format('%I.%I', l.alias, a.attname))
     from audit.lookups_of(t) as l
     join pg_attribute as a on a.attrelid = l.target and a.attnum > 0 and not a.attisdropped
     where l.alias || '.' || a.attname = v_name and bind_text.expression ~ '^[a-zA-Z0-9_$."]+$'),
    format('(%s)::text', audit.bind_expression(t, bind_text.expression, names, 'text')));
end;
$$;

revoke all on function audit.bind_text(audit.tracked, text, jsonb) from public;

comment on function audit.bind_text(audit.tracked, text, jsonb) is
  'SQL for a declared expression, as text.';

-- What a declaration says of an item, as SQL over the new row, the old one, or both merged.
create or replace function audit.bind_row(t audit.tracked, side text, with_departed boolean)
  returns audit.row_sql
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_row audit.row_sql;
begin
  v_row.names := audit.row_names(t, side);
  select
      case when count(*) = 1 then min(k.value)
        else string_agg(format('replace(replace(%s, ''~'', ''~0''), ''/'', ''~1'')', k.value),
          ' || ''/'' || ' order by k.number) end,
      string_agg(k.value, ' || '','' || ' order by k.number)
    into v_row.item_id, v_row.key_text
    from (
      select c.number, audit.text_value(c.type, v_row.names ->> c.name) as value
      from audit.columns_of(t.target) as c
      where c.is_key
    ) as k;

  if t.item_id is not null then
    v_row.item_id := audit.bind_text(t, t.item_id, v_row.names);
    if side = 'merged' or not exists (
      select from pg_attribute as a
      where a.attrelid = t.target and a.attname = audit.fold_name(t.item_id) and a.attnotnull)
    then
      v_row.item_id := format('coalesce(%s, audit.refuse_null(%L, %L))', v_row.item_id,
        t.target::text, t.item_id);
    end if;
  end if;
  v_row.item_label := audit.bind_text(t, t.item_label, v_row.names);
  v_row.account := case
    when t.accounts is not null then 'coalesce(_audit_account.id::text, '''')'
    when t.account is null then ''''''
    when exists (select from pg_attribute as a
                 where a.attrelid = t.target and a.attname = audit.fold_name(t.account)
                   and a.attnotnull) and side <> 'merged'
      then audit.bind_text(t, t.account, v_row.names)
    else format('coalesce(%s, '''')', audit.bind_text(t, t.account, v_row.names)) end;
  v_row.parent_type := coalesce(quote_literal(t.parent_type), 'null');
  v_row.parent_id := audit.bind_text(t, t.parent_id, v_row.names);
  -- A name is one segment of a path: ~ and / are written as in a JSON pointer (RFC 6901).
  v_row.part_name := format('replace(replace(coalesce(%s, %s), ''~'', ''~0''), ''/'', ''~1'')',
    audit.bind_text(t, t.part_name, v_row.names), v_row.key_text);
  v_row.joins := audit.lookup_join(t, v_row.names, with_departed)
    || case when t.accounts is not null
      then format(E'\n  left join lateral %s as _audit_account (id) on true',
        audit.account_query(t, v_row.names)) else '' end;
  return v_row;
end;
$$;

revoke all on function audit.bind_row(audit.tracked, text, boolean) from public;

comment on function audit.bind_row(audit.tracked, text, boolean) is
  'SQL for the item, label, account, parent and part of a row, and the joins they need.';

-- What a compiled function relies on. When it changes, the function is out of date. Asked in every
-- new session at the first write to a table, so it reads the catalogue and parses nothing.
create or replace function audit.fingerprint(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select left(md5(concat_ws(E'\n',
    (select string_agg(concat_ws(' ', a.atttypid::regtype,
                                 nullif(a.attcollation, 0)::regcollation,
                                 a.attgenerated, a.attname), E'\n' order by a.attnum)
     from pg_attribute as a
     where a.attrelid = t.target and a.attnum > 0 and not a.attisdropped),
    (select string_agg(a.attname, ' ' order by a.attname)
     from audit.key_of(t.target) as k (numbers)
     join pg_attribute as a on a.attrelid = t.target and a.attnum = any (k.numbers)),
    (select string_agg(regexp_replace(d.def, ' NOT VALID| DEFERRABLE| INITIALLY DEFERRED', '', 'g'),
                       E'\n' order by c.conname)
     from pg_constraint as c
     cross join lateral pg_get_constraintdef(c.oid) as d (def)
     where c.conrelid = t.target and c.contype = 'f' and c.confdeltype = 'c'
       and d.def !~ ' NOT ENFORCED$'),
    -- In a hierarchy rows are written past its triggers.
    (select 'child' where exists (select from pg_inherits as i where i.inhrelid = t.target)),
    (select 'parent' where exists (
      select from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
      where i.inhparent = t.target and not c.relispartition)),
    (select string_agg(concat_ws(' ', c ->> 'alias', audit.name_of(a.attrelid),
                                 a.atttypid::regtype, a.attname),
                       E'\n' order by c ->> 'alias', c ->> 'name')
     from jsonb_array_elements(t.columns) as c
     join pg_attribute as a
       on a.attrelid = t.tables[(c ->> 'table')::int]
       and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
         else a.attname = c ->> 'name' end
     where c ->> 'alias' is not null),
    (select string_agg(concat_ws(' ', audit.name_of(r), audit.reader_of(r, '{}')), ' ' order by n)
     from unnest(t.tables) with ordinality as u (r, n) where r <> t.target))), 12)
$$;

revoke all on function audit.fingerprint(audit.tracked) from public;

comment on function audit.fingerprint(audit.tracked) is
  'Digest of the columns and triggers that the compiled functions of a table rely on.';

-- The functions whose text decides what a declaration compiles to, by their names: those of this
-- schema but for trigger functions and for what is compiled. They are listed so that they are found
-- without looking at what was compiled, however much of it there is.
create or replace function audit.compiler_functions()
  returns name[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select '{
  account_query, actor_now, actor_variables, add_era, add_interval, add_layout, add_partition,
  add_piece, add_row_trigger, add_trigger, adopt_layouts, after_ddl, after_drop, after_subscription,
  apply_declaration, as_compiled, audited_columns, baseline, baseline_batch, baseline_key_columns,
  baseline_reader, baseline_writer, before_ddl, begin_baseline, begin_era, belonging_query,
  bind_expression, bind_row, bind_text, bound_function, bound_functions, bound_waits,
  builtin_name, carries, cascade_gate, cascade_test, cascades_of, check, check_changes,
  check_compiled, check_counts, check_eras, check_event_triggers, check_functions, check_guard,
  check_import, check_layout_readers, check_layouts, check_partitions, check_policies,
  check_readers, check_replication, check_restored, check_rights, check_rows, check_sessions,
  check_size, check_spares, check_storage, check_strangers, check_summaries, check_tables,
  check_triggers, check_untracked, check_writers, close_partition, column_numbers, columns_now,
  columns_of, compile_function, compile_moves, compile_partitioned, compile_table,
  compiler_digest, compiler_functions, condition_names, context_of, copy_comments, declaration_of,
  default_actions, demand_actor, departed_body, departed_function, departed_reader,
  derive_layouts, describe_rule, difference, element_of, equality_of, event, exact_text,
  expressions_of, fill_log, fingerprint, fold_name, follow_columns, follow_ddl, follow_layouts,
  follow_names, follow_rules, follow_table, follows_ddl, foreign_key_of, forget_layouts,
  function_settings, gave_up, give_function, grant_reading, grant_rights, group_body, guard_of,
  hand_over, has_own_policies, has_trigger, holders_of, horizon, identity_columns, ignore, indent,
  inputs_of, insert_log, install_baseline, install_compiled, interval_after, is_bound, is_builtin,
  is_current, is_filtered, is_function_installed, is_installed, is_kept, is_partition_empty,
  is_stale, is_trusted, item_log, joined_partitions, json_value, key_of, layout_branch,
  layout_columns, layout_dispatcher, layout_of, layout_printer, layout_reader, leave_partitions,
  looked_up, lookup_columns, lookup_join, lookup_name, lookup_query, lookups_of, maintain,
  merge_body, move_query, moved_body, moved_identity, moved_insert, moved_value, name_actions,
  name_now, name_of, name_types, names_in, open_import, over_parameters, parent_columns,
  parent_query, part_changes, part_identity, partition_list, partition_name, policy_ddl,
  presence_of, presented, presented_type, problem_of_names, problem_of_rules, protect, quoted,
  read_actor, read_move, reader_function, reader_functions, reader_of, reader_settings,
  reads_inline, record_changes, record_export, record_value, refresh, refuse_inheritance,
  refuse_null, relations_reading, remove_baseline, remove_declaration, renamed_columns,
  revoke_reading, rewrite_expression, role_for, role_rights, row_changes, row_names, row_record,
  rules_of, secret_columns, secret_numbers, set_actor, settings_for, settings_of, settle_layout,
  settle_readers, short_name, slug_for, spare_to_split, statement_of, summarised_partitions,
  table_trait, tables_altered, text_value, tokens_of, told_rows, touched_with, track, tree_log,
  triggered_relations, type_name, undo, undo_array, undo_batches, undo_begin, undo_changes,
  undo_checked, undo_columns, undo_deferrable, undo_dependents, undo_entries, undo_import,
  undo_key, undo_keyed, undo_lacking, undo_levels, undo_nets, undo_one, undo_orphans, undo_plan,
  undo_present, undo_records, undo_references, undo_rows, undo_run, undo_statements, undo_steps,
  undo_text, untrack, update_body, update_insert, update_list, update_variables, utc,
  validate_bound, validate_declaration, validate_expression, validate_expressions,
  validate_trackable, validate_tree, validate_undo, whole_layouts, widen, without_strings,
  write_body, write_function, write_log_event, write_table_event
  }'::name[]
$$;

revoke all on function audit.compiler_functions() from public;

comment on function audit.compiler_functions() is 'Names of the functions that compile.';

-- Which compiler this is: another version may compile the same declaration to something else.
create or replace function audit.compiler_digest()
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  return md5(string_agg(f.proname || f.prosrc, ''
      order by f.proname collate "C", f.prosrc collate "C"))
    from pg_proc as f
    where f.proname = any (audit.compiler_functions())
      and f.pronamespace = 'audit'::regnamespace;
end;
$$;

revoke all on function audit.compiler_digest() from public;

comment on function audit.compiler_digest() is 'Digest of the functions that compile.';

-- All that audit.compile_table() makes its functions and triggers of, as a digest: while it is the
-- same, so is what comes out. It takes a hundredth of the time that compiling takes, which is what
-- a refresh or a check of many tables would spend.
create or replace function audit.inputs_of(
  t audit.tracked, compiler text default audit.compiler_digest()
)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
begin
  -- What follows the colon is one thing for all tables: whether an event trigger follows DDL.
  return md5(concat_ws(E'\n',
      compiler,
      audit.fingerprint(t),
      (select r::text from audit.table_trait(t.target) as r),
      -- Whatever other tables are called that nothing is asked of.
      (select string_agg(case when c.confrelid = 0 or c.confrelid = any (t.tables::oid[])
          then pg_get_constraintdef(c.oid)
          else split_part(pg_get_constraintdef(c.oid), ' REFERENCES ', 1) end, E'\n' order by c.conname)
       from pg_constraint as c where c.conrelid = t.target and c.contype in ('f', 'p')),
      (select string_agg(k::text, E'\n' order by k.number) from audit.cascades_of(t) as k),
      audit.cascade_gate(t),
      audit.role_for('audit_writer'), audit.role_for('audit_lookup'),
      t.account_tables, t.account_reader,
      concat_ws('|', t.id, t.slug, t.item_type, t.item_id, t.item_label, t.account, t.accounts,
        t.parent_type, t.parent_id, t.part, t.part_name, t.require_actor, t.on_truncate, t.layout),
      t.operational, t.secret, t.lookups, t.actions, t.tables, audit.name_of(t.target)))
    || ':' || audit.follows_ddl()::text;
end;
$$;

revoke all on function audit.inputs_of(audit.tracked, text) from public;

comment on function audit.inputs_of(audit.tracked, text) is
  'Digest of all that the compiled functions and triggers of a table are made of.';

-- With whose rights a compiled trigger function runs, and under which settings.
create or replace function audit.function_settings(
  t audit.tracked, event text, body text, uses_lookups boolean, settings text[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  select E'\n  security definer\n  set search_path = pg_catalog, pg_temp'
    -- A lookup is one index probe for each row, also in a plan made when its table was empty.
    -- Compiling such a plan to machine code would cost more than it does.
    || case when uses_lookups then E'\n  set enable_seqscan = off\n  set jit = off' else '' end
    -- Row security lets audit_writer add rows to the log, and hides none from the owner of the log.
    || case when event = 'cascade' and exists (
        select from audit.lookups_of(t) as l where audit.is_filtered(l.target)) then ''
      when event <> 'cascade' and audit.role_for('audit_writer') <> audit.role_for('owner')
        then E'\n  set row_security = on'
      when uses_lookups then E'\n  set row_security = off' else '' end
    || coalesce((select string_agg(E'\n  set ' || s, '' order by s) from unnest(settings) as s), '')
    || case when body ~ '\\' then E'\n  set standard_conforming_strings = on' else '' end
$$;

revoke all on function audit.function_settings(audit.tracked, text, text, boolean, text[]) from public;

comment on function audit.function_settings(audit.tracked, text, text, boolean, text[]) is
  'The clauses of a compiled trigger function that say whose rights and which settings it has.';

-- The declaration with which a compiled function begins: where the table is not as it was compiled
-- for, it is an error before any column is looked at.
create or replace function audit.guard_of(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'  v_current constant boolean := audit.is_current(%s, %L, %s);\n',
    t.id, audit.fingerprint(t),
    (select string_agg(format('%L::regclass', r::oid::text), ', ' order by n)
     from unnest(t.tables) with ordinality as u (r, n)))
$$;

revoke all on function audit.guard_of(audit.tracked) from public;

comment on function audit.guard_of(audit.tracked) is
  'The variable of a compiled function that asks audit.is_current().';

-- The frame of every compiled function. With parameters it is one that a trigger calls for a row:
-- audit.add_row_trigger() has the trigger's own, which pins the settings for both.
create or replace function audit.compile_function(
  t audit.tracked, event text, variables text[], body text, uses_lookups boolean,
  settings text[], volatility text default 'volatile', parameters text[] default '{}'
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(
'create or replace function audit.%I(%s)
  returns %s
  language plpgsql
  %s%s
as %L',
    t.slug || '_' || event || case when parameters = '{}' then '' else '_row' end,
    (select string_agg(p || ' record', ', ' order by n)
     from unnest(parameters) with ordinality as u (p, n)),
    case when parameters = '{}' then 'trigger' else 'boolean' end,
    volatility,
    case when parameters = '{}'
      then audit.function_settings(t, event, body, uses_lookups, settings) else '' end,
    format(
'
-- Compiled from the declaration of %s (audit.tracked); audit.refresh() compiles it anew.
#variable_conflict use_column
<<_audit>>
declare
%s%sbegin
%s  return null;
end;
',
      translate(t.target::text, E'\n\r', '  '), audit.guard_of(t),
      (select coalesce(string_agg('  ' || v || E';\n', '' order by n), '')
       from unnest(variables) with ordinality as u (v, n)),
      body))
$$;

revoke all on function
  audit.compile_function(audit.tracked, text, text[], text, boolean, text[], text, text[]) from public;

comment on function
  audit.compile_function(audit.tracked, text, text[], text, boolean, text[], text, text[]) is
  'DDL of a compiled function around its body.';

-- Compiled functions are read by people: blocks are indented.
create or replace function audit.indent(code text, spaces integer)
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select regexp_replace(code, '^(?=.)', repeat(' ', spaces), 'gn')
$$;

revoke all on function audit.indent(text, integer) from public;

comment on function audit.indent(text, integer) is 'Indents the lines of compiled code.';

-- What a compiled function reads the actor of its transaction from and into: audit.read_actor() has
-- the statements.
create or replace function audit.actor_variables()
  returns text[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select array[
    'v_actor text := current_setting(''audit.actor'', true)',
    'v_actor_type text', 'v_actor_id text', 'v_actor_label text', 'v_context jsonb',
    'v_on_behalf_of_type text', 'v_on_behalf_of_id text', 'v_on_behalf_of_label text']
$$;

revoke all on function audit.actor_variables() from public;

comment on function audit.actor_variables() is
  'Declarations of the variables that hold the actor in a compiled function.';

-- The actor of the transaction: one setting, whose fields are parted by U+001F. The first one is a
-- stamp of the transaction, so that a setting of the session names nobody in a later one. What
-- audit.set_actor() would refuse counts as no actor, as a whole; that stands for the login role.
-- audit.actor_now() reads by the same rules. A context that was checked has a blank before it, or
-- two where more follows: the others need a function that catches errors. An expression costs more
-- to prepare in each transaction than to evaluate: so one question leads to all that is rare, and
-- where no actor was named one is asked.
create or replace function audit.read_actor()
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select
E'  if split_part(v_actor, chr(31), 1) = extract(epoch from current_timestamp)::text then
    v_actor_type := split_part(v_actor, chr(31), 2);
    v_actor_id := split_part(v_actor, chr(31), 3);
    v_actor_label := nullif(split_part(v_actor, chr(31), 4), '''');
    if split_part(v_actor, chr(31), 5) <> ''''
      or v_actor_id = '''' or v_actor_type in ('''', ''database'')
    then
      if v_actor_id = '''' or v_actor_type in ('''', ''database'') then
        v_actor_type := ''database'';
        v_actor_id := session_user;
        v_actor_label := null;
      elsif split_part(v_actor, chr(31), 5) like '' {%'' then
        v_context := split_part(v_actor, chr(31), 5)::jsonb;
      else
        v_context := case when split_part(v_actor, chr(31), 5) = ''  null'' then null
          when split_part(v_actor, chr(31), 5) like ''  {%'' then split_part(v_actor, chr(31), 5)::jsonb
          else audit.context_of(split_part(v_actor, chr(31), 5)) end;
        if split_part(v_actor, chr(31), 6) <> all (''{"",database}'')
          and split_part(v_actor, chr(31), 7) <> ''''
        then
          v_on_behalf_of_type := split_part(v_actor, chr(31), 6);
          v_on_behalf_of_id := split_part(v_actor, chr(31), 7);
          v_on_behalf_of_label := nullif(split_part(v_actor, chr(31), 8), '''');
        end if;
      end if;
    end if;
  else
    v_actor_type := ''database'';
    v_actor_id := session_user;
  end if;\n'
$$;

revoke all on function audit.read_actor() from public;

comment on function audit.read_actor() is 'Statements that read the actor of the transaction.';

-- The statement at the end of every compiled function: rows of the table in, rows of the log out.
create or replace function audit.insert_log(
  t audit.tracked, row_sql audit.row_sql, action text, changes text, is_cascade text, source text,
  condition text, record text default null, is_deleted boolean default false,
  moved text default null
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(
E'  insert into audit.log (
    account_id, action, item_type, item_id, item_label, parent_type, parent_id,
    actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
    db_role, application, is_cascade, is_deleted, layout, row_values, changes, context%s
  )
  select
    %s,
    %s,
    %L,
    %s,
    %s,
    %s,
    %s,
    _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
    _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
    session_user,
    current_setting(''application_name''),
    %s,
    %s,
    %s,
    %s,
    %s,
    _audit.v_context%s%s%s;
%s%s',
    case when moved is not null then ', moved' else '' end,
    row_sql.account, action, t.item_type, row_sql.item_id, row_sql.item_label,
    row_sql.parent_type, row_sql.parent_id, is_cascade,
    is_deleted::text, coalesce(t.layout::text, 'null'), coalesce(record, 'null'), changes,
    coalesce(E',\n    ' || moved, ''),
    case when source <> '' then E'\n  from ' || source || row_sql.joins
      when row_sql.joins <> '' then E'\n  from (select) as here' || row_sql.joins
      else '' end,
    case when condition <> '' then E'\n  where ' || condition else '' end,
    -- Somebody's code, called by one of these functions, may leave a search path behind that the next
    -- statement would be parsed under. FOUND stays what it was.
    case when t.account_reader = 'audit_lookup'
      or exists (select from audit.lookups_of(t) as l where l.reader = 'audit_lookup')
      or exists (select from audit.cascades_of(t) as c where c.reader = 'audit_lookup')
      then E'  if pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true) is null then
    return null;
  end if;\n' else '' end,
    case when t.require_actor then
E'  if _audit.v_actor_type = ''database'' and found then
    perform audit.demand_actor(''' || replace(t.target::text, '''', '''''') || E''');
  end if;\n' else '' end)
$$;

revoke all on function
  audit.insert_log(
    audit.tracked, audit.row_sql, text, text, text, text, text, text, boolean, text) from public;

comment on function
  audit.insert_log(
    audit.tracked, audit.row_sql, text, text, text, text, text, text, boolean, text) is
  'SQL that writes the rows of the log for one action.';

-- All audited columns of a row that came or went, as the value of changes. One conversion of nested
-- rows costs half of what building an object for each column does, and keys in the order that jsonb
-- keeps them in, shorter ones first, need no sorting.
create or replace function audit.row_changes(t audit.tracked, side text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with entry as materialized (
    select a.number, a.name, a.ident,
      case side when 'new' then a.new_entry else a.old_entry end as value
    from audit.audited_columns(t, case side when 'new' then 'old' else side end) as a
  ), prefix as (
    -- A name that no column has: a bare one would be taken for the column.
    select format('_e%s_', n) as text
    from generate_series(0, (select count(*) from entry)) as n
    where not exists (select from audit.columns_of(t.target) as c
                      where starts_with(c.name, format('_e%s_', n)))
    order by n
    limit 1
  )
  select case when count(*) = 0 then '(select jsonb ''{}'')' else format(
'(
      select to_jsonb(_audit_r.*)
      from (
        select
          %s
        from
          %s
      ) as _audit_r
    )',
      string_agg(format('%s%s as %s', p.text, a.number, a.ident), E',\n          '
        order by octet_length(a.name), a.name collate "C"),
      string_agg(format('%s as %s%s', a.value, p.text, a.number), E',\n          '
        order by a.number)) end
  from entry as a
  cross join prefix as p
$$;

revoke all on function audit.row_changes(audit.tracked, text) from public;

comment on function audit.row_changes(audit.tracked, text) is
  'SQL for the changes of a created (new) or deleted (old) row.';

-- All audited columns of a row that came or went, as the text of a record of its layout: it costs
-- less than any jsonb to write, and a tenth of the bytes to keep.
create or replace function audit.row_record(t audit.tracked, side text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select audit.row_names(t, side) as names)
  select format(E'row(\n      %s)::audit.layout_%s::text',
    string_agg(r.value, E',\n      ' order by c.number), t.layout)
  from audit.columns_of(t.target) as c
  cross join known as n
  cross join lateral audit.record_value(c.type, n.names ->> c.name) as r
  where c.name <> all (t.operational) and c.name <> all (t.secret)
$$;

revoke all on function audit.row_record(audit.tracked, text) from public;

comment on function audit.row_record(audit.tracked, text) is
  'SQL for the record of a created (new) or deleted (old) row; null where it has no column.';

-- An update of a part says which part it was: its key columns, with equal old and new.
create or replace function audit.part_identity(t audit.tracked, old_side text default 'old')
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when t.part is not null and count(*) > 0 then
    'jsonb_build_object(' || string_agg(format('%L, %s', a.name, a.both_entry), ', '
      order by a.number) || ')' end
  from audit.audited_columns(t, old_side) as a
  where a.is_key
    and a.name <> all (array(select audit.names_in(t.item_id)))
    and audit.fold_name(t.part_name) is distinct from a.name
$$;

revoke all on function audit.part_identity(audit.tracked, text) from public;

comment on function audit.part_identity(audit.tracked, text) is
  'SQL for the key columns of a part, which its updates carry; null where there are none.';

-- The keys of a part's columns are paths below the item: features/F1/max_consumption.
create or replace function audit.part_changes(t audit.tracked, row_sql audit.row_sql, changes text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when t.part is null then changes else format(
    E'(select jsonb_object_agg(%L || %s || ''/'' || _audit_c.key, _audit_c.value)'
    '\n     from jsonb_each(%s) as _audit_c)', t.part || '/', row_sql.part_name, changes) end
$$;

revoke all on function audit.part_changes(audit.tracked, audit.row_sql, text) from public;

comment on function audit.part_changes(audit.tracked, audit.row_sql, text) is
  'SQL that puts the path of a part before the keys of its changes.';

-- A row goes with its parent only in a transaction that deletes from the parent's table. PostgreSQL
-- counts that for its statistics, where no writer can reach it, and asking for the number costs a
-- tenth of looking for the parent. The counts are those of heap tables, and of each partition by
-- itself; and a superuser may turn them off.
create or replace function audit.cascade_gate(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'%s > 0\n    or current_setting(''track_counts'') = ''off''', string_agg(
      format('pg_stat_get_xact_tuples_deleted(%L::regclass)',
        format('%I.%I', n.nspname, c.relname)), E'\n    + ' order by n.nspname, c.relname))
  from (select distinct k.target, k.reader from audit.cascades_of(t) as k) as k
  join pg_class as c on c.oid = k.target
  join pg_namespace as n on n.oid = c.relnamespace
  left join pg_am as a on a.oid = c.relam
  having bool_and(k.reader = 'inline' and c.relkind = 'r' and a.amname = 'heap'
    and k.target <> t.target)
$$;

revoke all on function audit.cascade_gate(audit.tracked) from public;

comment on function audit.cascade_gate(audit.tracked) is
  'SQL that is false where no row can have gone with its parent; null where that is not known.';

-- A row deleted by its parent's deletion: inside the cascade the parent is already invisible.
create or replace function audit.cascade_test(t audit.tracked, old_side text default 'old')
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select audit.row_names(t, old_side) as names)
  select coalesce(string_agg(format('(%s%s and %s)',
      (select string_agg(v || ' is not null', ' and ' order by n)
       from unnest(f.vals) with ordinality as u (v, n)),
      -- A row that is its own parent goes by itself.
      case when f.target = t.target
          and not exists (select from unnest(f.types) as y where not audit.is_builtin(y)) then (
        select format(' and not (%s)', string_agg(format('%s %s %s', k.names ->> p.name, p.operator,
          p.value), ' and ' order by p.n))
        from known as k
        cross join unnest(f.parent_columns, f.operators, f.vals)
          with ordinality as p (name, operator, value, n)
        group by k.names) end,
      case when f.reader = 'inline'
        then audit.parent_query(f.target, f.parent_columns, f.operators, f.vals, f.types)
        else format('audit.%I(%s)', f.name, array_to_string(f.vals, ', ')) end),
    E'\n      or ' order by f.number), 'false')
  from (
    select c.*, array(
        select n.names ->> u.name from unnest(c.columns) with ordinality as u (name, place)
        order by u.place) as vals
    from audit.cascades_of(t) as c
    cross join known as n
  ) as f
$$;

revoke all on function audit.cascade_test(audit.tracked, text) from public;

comment on function audit.cascade_test(audit.tracked, text) is
  'SQL that says whether an old row went with its parent, by a foreign key ON DELETE CASCADE.';

-- One row of the log for each item and statement, whatever number of its parts changed.
create or replace function audit.group_body(
  t audit.tracked, row_sql audit.row_sql, action text, changes text, is_cascade text, source text,
  condition text, is_deleted boolean default false
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.insert_log(t, jsonb_populate_record(row_sql, jsonb_build_object(
      'account', 'g.account_id', 'item_id', 'g.item_id', 'item_label', 'g.item_label',
      'parent_id', 'g.parent_id', 'joins', '')),
    'g.action', 'g.changes', 'g.is_cascade',
    format(
'(
    select d.action, d.account_id, d.item_id, d.item_label, d.parent_id,
      bool_and(d.is_cascade) as is_cascade,
      jsonb_object_agg(%L || d.name || ''/'' || c.key, c.value) as changes
    from (
      select r.action, r.account_id, r.item_id, r.item_label, r.parent_id, r.is_cascade, r.changes,
        -- Two parts of one name in one row of the log are told apart by their keys.
        case when count(*) over (partition by r.account_id, r.item_id, r.name) > 1
          then r.name || ''#'' || r.key else r.name end as name
      from (
        select
          %s as action,
          %s as account_id,
          %s as item_id,
          %s as item_label,
          %s as parent_id,
          %s as name,
          %s as key,
          %s as is_cascade,
          %s as changes
        from %s%s%s
      ) as r
      where r.changes is not null
    ) as d
    cross join lateral jsonb_each(d.changes) as c
    group by 1, 2, 3, 4, 5
  ) as g',
      coalesce(t.part, t.item_type) || '/', action, row_sql.account, row_sql.item_id,
      row_sql.item_label, row_sql.parent_id, row_sql.part_name,
      row_sql.key_text, is_cascade, changes, source, row_sql.joins,
      case when condition <> '' then E'\n        where ' || condition else '' end),
    '', null, is_deleted)
$$;

revoke all on function
  audit.group_body(audit.tracked, audit.row_sql, text, text, text, text, text, boolean) from public;

comment on function
  audit.group_body(audit.tracked, audit.row_sql, text, text, text, text, text, boolean) is
  'Body that writes one row of the log for each item that a statement touched.';

-- Bodies for rows that came (new) or went (old): one row of the log each, or one for each item.
create or replace function audit.write_body(
  t audit.tracked, event text, is_row_level boolean, old_side text default 'old'
)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_side text := case event when 'insert' then 'new' else old_side end;
  v_row audit.row_sql := audit.bind_row(t, v_side, event = 'delete');
  v_source text := case when is_row_level then '' else format('%1$s_rows as %1$s', v_side) end;
  v_changes text := audit.row_changes(t, v_side);
  v_cascade text := case event when 'delete' then audit.cascade_test(t, old_side) else 'false' end;
  v_gate text := case event when 'delete' then audit.cascade_gate(t) end;
  v_is_grouped boolean;
  v_record text;
  v_action text;
  v_condition text;
  v_body text;
begin
  select
      case when count(*) = 1 then min(quote_literal(r.action))
        else 'case ' || string_agg(format('when %s then %L', coalesce(r.condition, 'true'),
          r.action), ' ' order by r.number) || ' end' end,
      case when bool_and(r.condition is not null) then
        string_agg('(' || r.condition || ')', ' or ' order by r.number) else '' end
    into v_action, v_condition
    from audit.rules_of(t, event, old_side) as r;
  if v_action is null then
    return null;
  end if;
  v_is_grouped := not is_row_level
    and (select bool_or(r.is_grouped) from audit.rules_of(t, event) as r);
  if not v_is_grouped then
    v_record := case when t.part is null then audit.row_record(t, v_side) end;
    v_changes := case when v_record is null then audit.part_changes(t, v_row, v_changes)
      else 'null' end;
  end if;
  select string_agg(case when v_is_grouped then
        audit.group_body(t, v_row, v_action, v_changes, c.test, v_source, v_condition,
          event = 'delete')
      else
        audit.insert_log(t, v_row, v_action, v_changes, c.test, v_source, v_condition, v_record,
          event = 'delete')
      end, E'  else\n' order by c.n)
    into v_body
    from unnest(case when v_gate is null then array[v_cascade] else array[v_cascade, 'false'] end)
      with ordinality as c (test, n);
  return case when v_gate is null then v_body
    else format(E'  if %s\n  then\n%s  end if;\n', v_gate, v_body) end;
end;
$$;

revoke all on function audit.write_body(audit.tracked, text, boolean, text) from public;

comment on function audit.write_body(audit.tracked, text, boolean, text) is
  'Body of the compiled function for INSERT or DELETE; null where the event has no action.';

-- UPDATE of parts whose action is one row for each item and statement.
create or replace function audit.merge_body(t audit.tracked)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_row audit.row_sql := audit.bind_row(t, 'merged', false);
  v_old jsonb := audit.row_names(t, 'old');
  v_new jsonb := audit.row_names(t, 'new');
  v_rule record;
  v_key text;
  v_pairs text;
  v_differences text;
begin
  select * into strict v_rule from audit.rules_of(t, 'update') as r where r.is_grouped;
  -- Old and new row are the same part while neither its key nor its item changed, nor whose that is: else
  -- it left the one and came to the other, and both are told. A full join can only hash or merge: a
  -- plan made for one row stays linear for a hundred thousand.
  select (array_agg(c.name order by c.number) filter (where c.is_key))[1],
      string_agg(case when c.is_key or c.name in (select audit.names_in(t.item_id))
          then format('%1$s %2$s %3$s', v_old ->> c.name, audit.equality_of(c.type),
            v_new ->> c.name)
          else format('coalesce(%s, '''') = coalesce(%s, '''')',
            audit.text_value(c.type, v_old ->> c.name), audit.text_value(c.type, v_new ->> c.name))
          end, ' and ' order by c.number)
    into v_key, v_pairs
    from audit.columns_of(t.target) as c
    where c.is_key or c.name in (select audit.identity_columns(t));
  select string_agg(format('case when %s then jsonb_build_object(%L, %s) else ''{}'' end',
      a.differs, a.name, a.both_entry), E'\n            || ' order by a.number)
    into v_differences
    from audit.audited_columns(t) as a
    where v_rule.columns is null or a.name = any (v_rule.columns);
  return audit.group_body(t, v_row, quote_literal(v_rule.action),
    format(E'case
            when %1$s is null then %2$s
            when %6$s is null then %3$s
            else %4$s nullif(%5$s, ''{}'')
          end', v_new ->> v_key, audit.row_changes(t, 'old'), audit.row_changes(t, 'new'),
      coalesce(audit.part_identity(t) || ' ||', ''), v_differences,
      v_old ->> v_key),
    'false', format('old_rows as old full join new_rows as new on %s', v_pairs),
    coalesce(v_rule.condition, ''));
end;
$$;

revoke all on function audit.merge_body(audit.tracked) from public;

comment on function audit.merge_body(audit.tracked) is
  'Body of the compiled function for UPDATE where an action is one row per item and statement.';

-- What an item is known by comes from these columns: where none of them changed, it is the same item,
-- of the same account, under the same parent.
create or replace function audit.identity_columns(t audit.tracked)
  returns setof text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive name (text) as (
    select case when starts_with(n, 'new.') then substr(n, 5) else n end
    from unnest(array[t.item_id, t.account, t.accounts, t.parent_id]) as e
    cross join lateral audit.names_in(e) as n
    union
    -- A looked-up column changes with the one that leads to it.
    select l.value
    from name as n
    join jsonb_each_text(t.lookups) as l on l.key = split_part(n.text, '.', 1)
  )
  select c.name
  from audit.columns_of(t.target) as c
  where c.name in (select n.text from name as n) or t.item_id is null and c.is_key
$$;

revoke all on function audit.identity_columns(audit.tracked) from public;

comment on function audit.identity_columns(audit.tracked) is
  'The columns that say which item a row is, of which account and under which parent.';

-- By what an item is known on one side of an UPDATE: its account, where it has one alone, its id and
-- that of its parent.
create or replace function audit.move_query(t audit.tracked, row_sql audit.row_sql)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('(select array[%s, %s, %s]::text[]%s)',
    case when t.accounts is null then row_sql.account else 'null' end,
    row_sql.item_id, row_sql.parent_id,
    case when j.joins <> '' then ' from (select) as here' || j.joins else '' end)
  from audit.lookup_join(t, row_sql.names, false) as j (joins)
$$;

revoke all on function audit.move_query(audit.tracked, audit.row_sql) from public;

comment on function audit.move_query(audit.tracked, audit.row_sql) is
  'SQL for what an item is known by: account, id and parent.';

-- The second row of an UPDATE after which a row of the table is another item, or one of another
-- account or parent: it is about the item as it was.
create or replace function audit.moved_insert(
  t audit.tracked, action text, changes text, old_side text
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'  if %s is not null then\n%s  end if;\n',
    case when t.accounts is null then 'v_moved' else 'v_was' end,
    audit.indent(audit.insert_log(t, w.row_sql, quote_literal(action),
      audit.part_changes(t, w.row_sql,
        concat_ws(' || ', audit.part_identity(t, old_side), changes)),
      'false', '',
      -- Accounts that the item is still of have the other row.
      case when t.accounts is null then '' else format(
        '_audit.v_moved is not null'
        ' or _audit_account.id is not null and _audit_account.id::text not in ('
        'select _audit_n.id::text from %s as _audit_n (id) where _audit_n.id is not null)',
        audit.account_query(t, audit.row_names(t, 'new'))) end,
      moved => 'audit.moved_identity(''to'', _audit.v_was, _audit.v_is)'), 2))
  from (select audit.bind_row(t, old_side, false) as row_sql) as w
$$;

revoke all on function audit.moved_insert(audit.tracked, text, text, text) from public;

comment on function audit.moved_insert(audit.tracked, text, text, text) is
  'Statement that tells an item as it was that it is known otherwise now.';

-- The end of UPDATE, row by row: what an action collected is written.
create or replace function audit.update_insert(
  t audit.tracked, row_sql audit.row_sql, action text, step integer, old_side text,
  is_moved boolean default false
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(E'  if %s is not null then\n%s  end if;\n', v.changes, audit.indent(
    audit.read_actor()
    || coalesce(s.assignments, '')
    || audit.insert_log(t,
      jsonb_populate_record(row_sql, coalesce(s.variables, '{}')),
      quote_literal(action),
      audit.part_changes(t, row_sql,
        concat_ws(' || ', audit.part_identity(t, old_side), '_audit.' || v.changes)),
      'false', '', '', moved => case when is_moved then '_audit.v_moved' end)
    || case when is_moved then audit.moved_insert(t, action, '_audit.' || v.changes, old_side)
      || format(E'  %s := null;\n', v.changes) else '' end, 2 * step))
  from (
    -- In a transaction of many statements a variable is cheaper than the same in the insert; what
    -- reads nothing of the row is cheaper there.
    select
      string_agg(format(E'  v_%s := %s;\n', f.variable, f.value), '' order by f.field)
        as assignments,
      jsonb_object_agg(f.field, '_audit.v_' || f.variable) as variables
    from (
      values ('account', 'account_id', row_sql.account), ('item_id', 'item_id', row_sql.item_id),
        ('item_label', 'item_label', row_sql.item_label)
    ) as f (field, variable, value)
    where row_sql.joins = '' and f.value ~ '\mnew\.'
  ) as s
  cross join (select quote_ident('v_' || audit.short_name(action) || '_changes') as changes) as v
$$;

revoke all on function
  audit.update_insert(audit.tracked, audit.row_sql, text, integer, text, boolean) from public;

comment on function
  audit.update_insert(audit.tracked, audit.row_sql, text, integer, text, boolean) is
  'SQL that writes the row of the log for one action of an UPDATE.';

-- What an UPDATE does of the columns that an item is known by. All of them are asked for at once, and
-- after all others: whoever changes none of them pays for no more. Where one changed, the actions are
-- written here, by a row about the item as it is now, which says from where, and one about the item
-- as it was, which says where to.
create or replace function audit.moved_body(
  t audit.tracked, assignments text, row_sql audit.row_sql, step integer, old_side text
)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_was audit.row_sql := audit.bind_row(t, old_side, false);
  v_differs text;
  v_inserts text;
begin
  select string_agg(audit.difference(c.declared_type, c.is_plain and old_side = 'old',
      case old_side when 'old' then 'old.' || c.field else v_was.names ->> c.name end,
      case old_side when 'old' then 'new.' || c.field else row_sql.names ->> c.name end),
      E'\n    or ' order by c.number)
    into v_differs
    from audit.columns_of(t.target) as c
    where c.name in (select audit.identity_columns(t));
  select string_agg(audit.update_insert(t, row_sql, r.action, step, old_side, true), ''
                    order by r.number)
    into v_inserts
    from (select u.action, min(u.number) as number
          from audit.rules_of(t, 'update', old_side) as u group by 1) as r;
  return format(E'  if %s then\n%s  end if;\n', v_differs, assignments
    || audit.indent(format(
E'  v_was := %s;
  v_is := %s;
  if v_was is distinct from v_is then
    v_moved := audit.moved_identity(''from'', v_is, v_was);
  end if;
', audit.move_query(t, v_was), audit.move_query(t, row_sql)) || v_inserts, 2 * step));
end;
$$;

revoke all on function
  audit.moved_body(audit.tracked, text, audit.row_sql, integer, text) from public;

comment on function audit.moved_body(audit.tracked, text, audit.row_sql, integer, text) is
  'Statements of an UPDATE for the columns that an item is known by.';

-- UPDATE, row by row: each changed column goes to one action, each action with columns to the log.
create or replace function audit.update_body(t audit.tracked, old_side text default 'old')
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with style as (
    -- No indentation where it could reach into a string of the declaration.
    select case when strpos((to_jsonb(t) - 'compiled')::text, E'\\n') > 0 then 0 else 1 end as step
  ), rule as (
    select r.*, quote_ident('v_' || audit.short_name(r.action) || '_changes') as variable
    from audit.rules_of(t, 'update', old_side) as r
  ), taker as (
    select
      a.number, a.differs, r.condition,
      a.name in (select audit.identity_columns(t)) as is_identity,
      format('%1$s := jsonb_set(coalesce(%1$s, ''{}''), %2$L, %3$s);',
        r.variable, array[a.name], a.both_entry) as assignment,
      row_number() over (partition by a.number
                         order by (r.columns is null)::int, r.number) as n
    from audit.audited_columns(t, old_side) as a
    join rule as r on r.columns is null or a.name = any (r.columns)
  ), taken as (
    select
      k.number,
      k.differs,
      k.is_identity,
      bool_and(k.condition is null) as is_simple,
      -- Nothing comes after the first taker without a condition.
      case when min(k.n) filter (where k.condition is null) = 1
        then E'  ' || min(k.assignment) filter (where k.n = 1) || E'\n'
        else string_agg(format(E'  %s\n    %s\n',
            case when k.n > 1 and k.condition is null then 'else'
              else format('%s %s then', case when k.n = 1 then 'if' else 'elsif' end, k.condition)
              end, k.assignment), '' order by k.n) || E'  end if;\n' end as assignments
    from taker as k
    where not exists (select from taker as o
                      where o.number = k.number and o.n < k.n and o.condition is null)
    group by k.number, k.differs, k.is_identity
  ), block as (
    select b.place, count(*) as size, min(b.number) as number,
      string_agg(b.differs, E'\n    or ' order by b.number) as differs,
      string_agg(format(E'if %s then\n%send if;\n', b.differs, b.assignments), ''
        order by b.number) as statements
    from (
      -- Most updates change few columns: one question for five of them, then the five. Where there
      -- are no more than five, the question alone would be one too many.
      select k.*, case when k.is_simple and count(*) over (partition by k.is_simple) > 5
        then (row_number() over (partition by k.is_simple order by k.number) - 1) / 5
        else -k.number end as place
      from taken as k
      where not k.is_identity
    ) as b
    group by b.place
  )
  select
    coalesce((select string_agg(case when b.size = 1 then audit.indent(b.statements, 2 * s.step)
        else format(E'  if %s then\n%s  end if;\n', b.differs,
          audit.indent(b.statements, 4 * s.step)) end,
        '' order by b.number) from block as b), '')
    || audit.moved_body(t, coalesce((
        select string_agg(audit.indent(format(E'if %s then\n%send if;\n', k.differs, k.assignments),
          4 * s.step), '' order by k.number)
        from taken as k where k.is_identity), ''), b.row_sql, s.step, old_side)
    || (select string_agg(audit.update_insert(t, b.row_sql, r.action, s.step, old_side), ''
                          order by r.number)
        from (select action, min(number) as number from rule group by 1) as r)
  from (select audit.bind_row(t, 'new', false) as row_sql) as b
  cross join style as s
$$;

revoke all on function audit.update_body(audit.tracked, text) from public;

comment on function audit.update_body(audit.tracked, text) is
  'Body of the compiled function for UPDATE, row by row; null where UPDATE has no action.';

-- Where nothing follows DDL, triggers must be such that they notice a change themselves.
create or replace function audit.follows_ddl()
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_event_trigger as e
    where e.evtname = 'audit_after_ddl' and e.evtenabled <> 'D')
$$;

revoke all on function audit.follows_ddl() from public;

comment on function audit.follows_ddl() is 'Whether an event trigger follows DDL.';

-- The column list of the trigger for UPDATE: statements that name none of these pass for free.
create or replace function audit.update_list(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select r.columns from audit.rules_of(t, 'update') as r)
  select case
    -- A BEFORE trigger may change columns that the statement does not name; and where no event
    -- trigger follows DDL, a column added since is not in the list. There every UPDATE is looked at.
    when r.has_before_update or not audit.follows_ddl() then ''
    else coalesce(' of ' || (
      select string_agg(quote_ident(a.name), ', ' order by a.number)
      from audit.columns_of(t.target) as a
      where a.name <> all (t.operational) and exists (
        select from known as u
        where u.columns is null or a.name = any (u.columns))), '')
    end
  from audit.table_trait(t.target) as r
$$;

revoke all on function audit.update_list(audit.tracked) from public;

comment on function audit.update_list(audit.tracked) is
  'The column list of the trigger for UPDATE; empty where every UPDATE must be looked at.';

-- The variables of a compiled function for UPDATE: the changes of each action.
create or replace function audit.update_variables(t audit.tracked)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.actor_variables() || array[
    'v_account_id text', 'v_item_id text', 'v_item_label text',
    'v_was text[]', 'v_is text[]', 'v_moved jsonb'] || array(
    select quote_ident('v_' || audit.short_name(r.action) || '_changes') || ' jsonb'
    from audit.rules_of(t, 'update') as r
    group by r.action
    order by min(r.number))
$$;

revoke all on function audit.update_variables(audit.tracked) from public;

comment on function audit.update_variables(audit.tracked) is
  'Declarations of the variables that a compiled function for UPDATE collects changes in.';

-- Before deleted rows are logged, what they look up is fetched from where it still is, also when
-- the same statement deleted that too (a cascade, a CTE): a trigger function declared stable does
-- not see the changes of the statement that fired it. A further hop starts from what the first
-- fetched.
create or replace function audit.departed_body(t audit.tracked, is_row_level boolean)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select audit.row_names(t, 'old') as names)
  select string_agg(format(
E'  select coalesce(_audit.v_departed, ''{}'') || coalesce(jsonb_object_agg(%1$L || f.k, f.v), ''{}'')
    into v_departed
    from (
      select %2$s as k, (select to_jsonb(_audit_q.*) from (%3$s) as _audit_q) as v%4$s
    ) as f
    where f.k is not null and f.v is not null;\n',
    l.alias || ':',
    audit.text_value(audit.presented_type(l.key_type), s.value),
    audit.lookup_query(l.target, c.list, l.key_column, l.key_operator, s.value, l.key_type),
    case
      when l.source is not null then format(
        E'\n      from jsonb_each(_audit.v_departed) as _audit_s'
        '\n      cross join lateral jsonb_to_record(_audit_s.value) as _audit_hop (%s %s)'
        '\n      where starts_with(_audit_s.key, %L)',
        audit.quoted(l.source_column), audit.builtin_name(audit.presented_type(l.key_type)),
        l.source || ':')
      when is_row_level then ''
      else format(E'\n      from (select distinct %s as _audit_k from old_rows as old) as _audit_old',
        n.names ->> l.source_column)
    end),
    '' order by l.depth, l.alias)
    || E'  perform set_config(''audit.departed'', coalesce(v_departed::text, ''''), true);\n'
  from audit.lookups_of(t) as l
  cross join known as n
  cross join lateral audit.lookup_columns(l.target, l.columns, l.key_column) as c
  cross join lateral (
    select case when l.source is not null then '_audit_hop.' || audit.quoted(l.source_column)
      when is_row_level then n.names ->> l.source_column
      else '_audit_old._audit_k' end as value) as s
  where exists (select from audit.rules_of(t, 'delete'))
$$;

revoke all on function audit.departed_body(audit.tracked, boolean) from public;

comment on function audit.departed_body(audit.tracked, boolean) is
  'Body of the compiled function that fetches what deleted rows look up; or null.';

-- The compiled function for INSERT or DELETE of a table that is not partitioned.
create or replace function audit.write_function(
  t audit.tracked, event text, is_row_level boolean, settings text[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.compile_function(t, event,
    audit.actor_variables()
      || case when d.uses_departed then array[
        'v_departed constant jsonb := nullif(current_setting(''audit.departed'', true), '''')::jsonb']
        else '{}' end,
    audit.read_actor() || b.body || case when d.uses_departed
      then E'  perform set_config(''audit.departed'', '''', true);\n' else '' end,
    audit.reads_inline(t, event),
    settings)
  from (select audit.write_body(t, event, is_row_level) as body) as b
  cross join (
    select event = 'delete' and exists (
      select from audit.lookups_of(t) as l where l.source is null) as uses_departed
  ) as d
  where b.body is not null
$$;

revoke all on function audit.write_function(audit.tracked, text, boolean, text[]) from public;

comment on function audit.write_function(audit.tracked, text, boolean, text[]) is
  'DDL of the compiled function for INSERT or DELETE; null where the event has no action.';

-- The compiled function that runs before the one for DELETE and fetches what that looks up.
create or replace function audit.departed_function(
  t audit.tracked, is_row_level boolean, settings text[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.compile_function(t, 'cascade', array['v_departed jsonb'], b.body, true, settings,
    'stable')
  from (select audit.departed_body(t, is_row_level) as body) as b
  where b.body is not null
$$;

revoke all on function audit.departed_function(audit.tracked, boolean, text[]) from public;

comment on function audit.departed_function(audit.tracked, boolean, text[]) is
  'DDL of the compiled function that fetches what deleted rows look up; or null.';

-- One trigger and its function, added to what a table compiles to.
create or replace function audit.add_trigger(
  compiled audit.compiled, t audit.tracked, event text, timing text, transition text,
  function_ddl text
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  if function_ddl is not null then
    compiled.functions := compiled.functions
      || jsonb_build_object(t.slug || '_' || event, function_ddl);
    compiled.triggers := compiled.triggers || jsonb_build_object('_audit_' || event,
      format('%s on %s %sfor each %s execute function audit.%I()', timing, t.target,
        coalesce('referencing ' || transition || ' ', ''),
        case when transition is null then 'row' else 'statement' end, t.slug || '_' || event));
  end if;
  return compiled;
end;
$$;

revoke all on function
  audit.add_trigger(audit.compiled, audit.tracked, text, text, text, text) from public;

comment on function audit.add_trigger(audit.compiled, audit.tracked, text, text, text, text) is
  'Adds a trigger and its function to a compilation; adds nothing where there is no function.';

-- A row trigger of a partitioned table. PostgreSQL clones it to every partition, and each clone
-- compiles and plans its function for itself: so that function does nothing but call another, which
-- a session compiles and plans once, however many partitions it writes to. The row goes there as
-- one of no named type, since PL/pgSQL compiles a function anew for each type that it is given.
create or replace function audit.add_row_trigger(
  compiled audit.compiled, t audit.tracked, event text, timing text, variables text[], body text,
  settings text[], volatility text default 'volatile'
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows constant text[] := case event when 'insert' then '{new}' when 'update' then '{old,new}'
    when 'moving' then '{old,new}' else '{old}' end;
  -- Where the old row lies.
  v_place constant text[] := case when event in ('moving', 'delete') then '{place}' else '{}' end;
  v_name constant text := t.slug || '_' || event;
begin
  if body is null then
    return compiled;
  end if;
  compiled.functions := compiled.functions || jsonb_build_object(v_name || '_row',
    audit.compile_function(t, event, variables, body, true, settings, volatility, v_rows || v_place));
  return audit.add_trigger(compiled, t, event, timing, null, format(
'create or replace function audit.%I()
  returns trigger
  language plpgsql
  %s%s
as %L', v_name, volatility, audit.function_settings(t, event, body, true, settings),
    format(
'
-- Compiled from the declaration of %s (audit.tracked): called in each partition.
declare
%s  v_done constant boolean := audit.%I(%s);
begin
  return %s;
end;
',
      translate(t.target::text, E'\n\r', '  '),
      -- Where nothing follows DDL, a column that is named here may be gone; elsewhere asking once, in
      -- the function that is called, is enough.
      case when audit.follows_ddl() then '' else audit.guard_of(t) end,
      v_name || '_row',
      (select string_agg(format('row(%s)', (
          select string_agg(r || '.' || c.ident, ', ' order by c.number)
          from audit.columns_of(t.target) as c)), ', ' order by n)
       from unnest(v_rows) with ordinality as u (r, n))
      || case when v_place = '{}' then '' else ', row(tg_relid, old.ctid)' end,
      case event when 'moving' then 'new' else 'null' end)));
end;
$$;

revoke all on function audit.add_row_trigger(
  audit.compiled, audit.tracked, text, text, text[], text, text[], text) from public;

comment on function audit.add_row_trigger(
  audit.compiled, audit.tracked, text, text, text[], text, text[], text) is
  'Adds a row trigger and its two functions to the compilation of a partitioned table.';

-- What a row trigger finds of the row that is on its way to another partition. Before the UPDATE of a
-- row its place is noted, so that a deletion is known for what it is; its columns then wait for the
-- insertion of the same key. Whatever else happens meanwhile, in the same statement or in one that
-- a trigger runs, is none of that.
create or replace function audit.read_move(t audit.tracked, event text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with key as (
    -- Before the UPDATE of a row nobody knows what will be computed of it.
    select string_agg(format('(%s)', audit.exact_text(c.type, n.names ->> c.name)), ', '
        order by c.number) as vals
    from audit.columns_of(t.target) as c
    join pg_attribute as a on a.attrelid = t.target and a.attnum = c.number
    cross join audit.row_names(t, 'new') as n (names)
    where c.is_key and a.attgenerated = ''
  ), row_now as (
    select string_agg(format('(%s)', audit.exact_text(c.type, n.names ->> c.name)), ', '
        order by c.number) as vals
    from audit.columns_of(t.target) as c
    cross join audit.row_names(t, 'old') as n (names)
  )
  select format(E'  v_moving := nullif(current_setting(%L, true), \'\');\n', s.setting)
    || case event
    when 'moving' then format(
E'  if v_moving ~ \'^[0-8]?[0-9]{1,18}:\' then
    insert into audit.move (tracked_id, statement, relation, place, new_key)
      select %1$s, m.id, place.f1, place.f2::text, array[%2$s]::text[]
      from audit.move as m
      where m.pid = pg_backend_pid() and m.id = split_part(v_moving, \':\', 1)::bigint
        and m.tracked_id = %1$s and m.relation is null;
  end if;\n', t.id, key.vals)
    when 'delete' then format(
E'  if v_moving ~ \'^[0-8]?[0-9]{1,18}:\' then
    update audit.move as m set row_values = array[%2$s]::text[]
      where m.pid = pg_backend_pid() and m.id = (
        select o.id from audit.move as o
        where o.pid = pg_backend_pid() and o.relation = place.f1 and o.place = place.f2::text
          and o.tracked_id = %1$s and o.row_values is null
        order by o.id desc limit 1)
      returning m.id into v_move;
    if v_move is not null then
      perform set_config(%3$L, split_part(v_moving, \':\', 1) || \':\' || v_move, true);
      return null;
    end if;
  end if;\n', t.id, row_now.vals, s.setting)
    when 'insert' then format(
E'  if v_moving ~ \'^[0-8]?[0-9]{1,18}:[0-8]?[0-9]{1,18}$\' then
    delete from audit.move as m
      where m.pid = pg_backend_pid() and m.id = split_part(v_moving, \':\', 2)::bigint
        and m.tracked_id = %1$s and m.new_key = array[%2$s]::text[]
      returning m.row_values into v_row;
    if v_row is not null then
      perform set_config(%3$L, split_part(v_moving, \':\', 1) || \':\', true);
    end if;
  end if;\n', t.id, key.vals, s.setting)
    end
  from key
  cross join row_now
  cross join (select 'audit.moving_' || t.id as setting) as s
$$;

revoke all on function audit.read_move(audit.tracked, text) from public;

comment on function audit.read_move(audit.tracked, text) is
  'Statements by which row triggers know a row that moves from one partition to another.';

-- The triggers around an UPDATE that may move rows from one partition to another: before and after
-- the statement, and before each row whose partition may change. Statement triggers fire where the
-- statement is aimed at, and that may be a partition that has partitions itself.
create or replace function audit.compile_moves(
  t audit.tracked, compiled audit.compiled, variables text[], delete_body text, settings text[]
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_setting text := quote_literal('audit.moving_' || t.id);
  v_list text;
  v_change text;
begin
  select
      case when r.has_before_update then ''
        else ' of ' || (select string_agg(quote_ident(c), ', ')
                        from unnest(r.partition_columns) as c) end,
      (select format('record_image_ne(row(%s), row(%s))',
          string_agg('old.' || quote_ident(c), ', '), string_agg('new.' || quote_ident(c), ', '))
       from unnest(r.partition_columns) as c)
    into v_list, v_change
    from audit.table_trait(t.target) as r;
  compiled.functions := compiled.functions || jsonb_build_object(t.slug || '_move',
    audit.compile_function(t, 'move', variables, format(
E'  v_moving := current_setting(%1$s, true);
  if tg_when = ''BEFORE'' then
    insert into audit.move (tracked_id, enclosing) values (%2$s, v_moving) returning id into v_move;
    perform set_config(%1$s, v_move || '':'', true);
    return null;
  end if;
  if v_moving ~ ''^[0-8]?[0-9]{1,18}:'' then
    delete from audit.move as m
      where m.pid = pg_backend_pid() and m.id = split_part(v_moving, '':'', 1)::bigint
        and m.tracked_id = %2$s and m.relation is null
      returning m.id, m.enclosing into v_move, v_enclosing;
  end if;
  if v_move is null then
    raise exception ''the setting %%, which belongs to audit triggers, was changed'', %1$s
      using errcode = ''UA003'', hint = ''Leave settings whose names begin with audit. alone.'';
  end if;
  perform set_config(%1$s, coalesce(v_enclosing, ''''), true);
  for v_row in
    with gone as (
      delete from audit.move as m where m.pid = pg_backend_pid() and m.statement = v_move
      returning m.id, m.row_values
    )
    select g.row_values from gone as g where g.row_values is not null order by g.id
  loop
%3$s  end loop;
', v_setting, t.id, delete_body), true, settings));
  compiled.triggers := compiled.triggers || jsonb_build_object(
    '_audit_move', format('before update%s on %s for each statement execute function audit.%I()',
      v_list, t.target, t.slug || '_move'),
    '_audit_moved', format('after update%s on %s for each statement execute function audit.%I()',
      v_list, t.target, t.slug || '_move'));
  compiled := audit.add_row_trigger(compiled, t, 'moving', 'before update' || v_list,
    array['v_moving text'], audit.read_move(t, 'moving'), settings);
  compiled.triggers := compiled.triggers || jsonb_build_object('_audit_moving', replace(
    compiled.triggers ->> '_audit_moving', ' for each row execute ',
    format(' for each row when (%s) execute ', v_change)));
  return compiled;
end;
$$;

revoke all on function
  audit.compile_moves(audit.tracked, audit.compiled, text[], text, text[]) from public;

comment on function
  audit.compile_moves(audit.tracked, audit.compiled, text[], text, text[]) is
  'Adds the triggers that put together what a row moving between partitions is taken apart into.';

-- Partitioned tables: row triggers, which PostgreSQL clones to every partition, so that a write
-- straight into a partition is seen too. A row that moves comes as a deletion followed by an
-- insertion; what was noted before the UPDATE of that row puts the pair together again.
create or replace function audit.compile_partitioned(
  t audit.tracked, settings text[], compiled audit.compiled
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- Rows on their way are kept as text, whatever their types.
  v_all_settings constant text[] := audit.settings_of(array['record'::regtype::oid]);
  v_insert text := coalesce(audit.write_body(t, 'insert', true), '');
  v_forget constant text := E'  perform set_config(''audit.departed'', '''', true);\n';
  v_delete text := coalesce(audit.write_body(t, 'delete', true) || v_forget, '');
  v_moved_off text := coalesce(audit.write_body(t, 'delete', true, 'moved') || v_forget, '');
  v_update text := coalesce(audit.update_body(t), '');
  v_actor text := audit.read_actor();
  v_variables text[] := audit.update_variables(t)
    || array['v_moving text', 'v_move bigint', 'v_row text[]', 'v_enclosing text',
      'v_departed jsonb := nullif(current_setting(''audit.departed'', true), '''')::jsonb'];
begin
  compiled := audit.add_row_trigger(compiled, t, 'insert', 'after insert', v_variables,
    audit.read_move(t, 'insert') || v_actor || format(
E'  if v_row is not null then
%s    return null;
  end if;
%s', coalesce(audit.update_body(t, 'moved'), ''), v_insert),
    v_all_settings);
  compiled := audit.add_row_trigger(compiled, t, 'delete', 'after delete', v_variables,
    audit.read_move(t, 'delete') || v_actor || v_delete, v_all_settings);
  compiled := audit.add_row_trigger(compiled, t, 'update', 'after update' || audit.update_list(t),
    audit.update_variables(t), nullif(v_update, ''), settings);
  compiled := audit.add_row_trigger(compiled, t, 'cascade', 'after delete',
    array['v_departed jsonb'], audit.departed_body(t, true), settings, 'stable');
  return audit.compile_moves(t, compiled, v_variables, v_actor || v_moved_off, v_all_settings);
end;
$$;

revoke all on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) from public;

comment on function audit.compile_partitioned(audit.tracked, text[], audit.compiled) is
  'The functions and triggers that the declaration of a partitioned table compiles to.';

-- A declaration becomes functions and triggers: this says which, and with what text.
--
-- In goes a row of audit.tracked: what audit.track() was told of a table, or what audit.refresh()
-- made of that after DDL. Out comes an audit.compiled: the text of each function and trigger, which
-- audit.install_compiled() then puts in place. In between nothing is written: every step reads the
-- declaration and the catalogue, and returns SQL as text. The steps:
--
-- 1. What the table is like. columns_of and audited_columns: its columns, which get into compiled
--    text through presented and difference alone, with the SQL that shows them (json_value,
--    text_value, record_value). rules_of: the actions of an event. lookups_of and cascades_of: which
--    other tables are asked, and who may read those (reader_of). table_trait: whether it is
--    partitioned, and which triggers of its own it has.
-- 2. What the expressions mean. tokens_of takes one apart, row_names says what a name stands for,
--    bind_expression puts that in, or calls the function that keeps what foreign names mean
--    (bound_function); bind_text makes text of it. bind_row does so for all that the log keeps of a
--    row: audit.row_sql. reader_functions: what other tables are read by, where not in place.
-- 3. A body for each event. write_body: rows that came or went, a whole statement at once.
--    update_body, with update_insert: a row that changed, each column in the variable of the action
--    that takes it. merge_body and group_body: one row of the log for each item, however many of its
--    parts a statement touched. departed_body: what deleted rows look up, fetched before it is gone.
--    All but the last end in insert_log.
-- 4. The frame. compile_function puts around a body its variables, the settings that its values
--    depend on (settings_for) and the guard is_current, which raises an error where the table is not
--    as fingerprint saw it. add_trigger adds the function and its trigger to the result.
-- 5. Partitioned tables have row triggers alone (add_row_trigger), and rows that move from one
--    partition to another: compile_partitioned, compile_moves.
--
-- For example, in a database that has nothing but schema audit,
--
--   create table public.note (id integer primary key, title text);
--   select audit.track('public.note', item_label => 'title',
--     actions => '[{"action": "renamed", "on": "update", "columns": ["title"]}]');
--
-- compiles to this function, but for the number of the table, and the trigger "_audit_update after
-- update of title on public.note for each row":
--
--   CREATE OR REPLACE FUNCTION audit.public_note_update()
--    RETURNS trigger
--    LANGUAGE plpgsql
--    SECURITY DEFINER
--    SET search_path TO 'pg_catalog', 'pg_temp'
--    SET row_security TO 'on'
--   AS $function$
--   -- Compiled from the declaration of public.note (audit.tracked); audit.refresh() compiles it anew.
--   #variable_conflict use_column
--   <<_audit>>
--   declare
--     v_current constant boolean := audit.is_current(1, '62cc73c695eb', '16384'::regclass);
--     v_actor text := current_setting('audit.actor', true);
--     v_actor_type text;
--     v_actor_id text;
--     v_actor_label text;
--     v_context jsonb;
--     v_on_behalf_of_type text;
--     v_on_behalf_of_id text;
--     v_on_behalf_of_label text;
--     v_account_id text;
--     v_item_id text;
--     v_item_label text;
--     v_was text[];
--     v_is text[];
--     v_moved jsonb;
--     v_renamed_changes jsonb;
--   begin
--     if old."title" is distinct from audit.as_compiled(new."title", null::pg_catalog.text) then
--       v_renamed_changes := jsonb_set(coalesce(v_renamed_changes, '{}'), '{title}', jsonb_object(array['old', audit.as_compiled(old."title", null::pg_catalog.text), 'new', audit.as_compiled(new."title", null::pg_catalog.text)]::text[]));
--     end if;
--     if old."id" is distinct from audit.as_compiled(new."id", null::pg_catalog.int4) then
--       v_was := (select array['', audit.as_compiled(old."id", null::pg_catalog.int4)::text, (null)::text]::text[]);
--       v_is := (select array['', audit.as_compiled(new."id", null::pg_catalog.int4)::text, (null)::text]::text[]);
--       if v_was is distinct from v_is then
--         v_moved := audit.moved_identity('from', v_is, v_was);
--       end if;
--       if v_renamed_changes is not null then
--         if split_part(v_actor, chr(31), 1) = extract(epoch from current_timestamp)::text then
--           v_actor_type := split_part(v_actor, chr(31), 2);
--           v_actor_id := split_part(v_actor, chr(31), 3);
--           v_actor_label := nullif(split_part(v_actor, chr(31), 4), '');
--           if split_part(v_actor, chr(31), 5) <> ''
--             or v_actor_id = '' or v_actor_type in ('', 'database')
--           then
--             if v_actor_id = '' or v_actor_type in ('', 'database') then
--               v_actor_type := 'database';
--               v_actor_id := session_user;
--               v_actor_label := null;
--             elsif split_part(v_actor, chr(31), 5) like ' {%' then
--               v_context := split_part(v_actor, chr(31), 5)::jsonb;
--             else
--               v_context := case when split_part(v_actor, chr(31), 5) = '  null' then null
--                 when split_part(v_actor, chr(31), 5) like '  {%' then split_part(v_actor, chr(31), 5)::jsonb
--                 else audit.context_of(split_part(v_actor, chr(31), 5)) end;
--               if split_part(v_actor, chr(31), 6) <> all ('{"",database}')
--                 and split_part(v_actor, chr(31), 7) <> ''
--               then
--                 v_on_behalf_of_type := split_part(v_actor, chr(31), 6);
--                 v_on_behalf_of_id := split_part(v_actor, chr(31), 7);
--                 v_on_behalf_of_label := nullif(split_part(v_actor, chr(31), 8), '');
--               end if;
--             end if;
--           end if;
--         else
--           v_actor_type := 'database';
--           v_actor_id := session_user;
--         end if;
--         v_item_id := audit.as_compiled(new."id", null::pg_catalog.int4)::text;
--         v_item_label := audit.as_compiled(new."title", null::pg_catalog.text)::text;
--         insert into audit.log (
--           account_id, action, item_type, item_id, item_label, parent_type, parent_id,
--           actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
--           db_role, application, is_cascade, is_deleted, layout, row_values, changes, context, moved
--         )
--         select
--           '',
--           'renamed',
--           'note',
--           _audit.v_item_id,
--           _audit.v_item_label,
--           null,
--           (null)::text,
--           _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
--           _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
--           session_user,
--           current_setting('application_name'),
--           false,
--           false,
--           1,
--           null,
--           _audit.v_renamed_changes,
--           _audit.v_context,
--           _audit.v_moved;
--         if v_moved is not null then
--           insert into audit.log (
--             account_id, action, item_type, item_id, item_label, parent_type, parent_id,
--             actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
--             db_role, application, is_cascade, is_deleted, layout, row_values, changes, context, moved
--           )
--           select
--             '',
--             'renamed',
--             'note',
--             audit.as_compiled(old."id", null::pg_catalog.int4)::text,
--             audit.as_compiled(old."title", null::pg_catalog.text)::text,
--             null,
--             (null)::text,
--             _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
--             _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
--             session_user,
--             current_setting('application_name'),
--             false,
--             false,
--             1,
--             null,
--             _audit.v_renamed_changes,
--             _audit.v_context,
--             audit.moved_identity('to', _audit.v_was, _audit.v_is);
--         end if;
--         v_renamed_changes := null;
--       end if;
--     end if;
--     if v_renamed_changes is not null then
--       if split_part(v_actor, chr(31), 1) = extract(epoch from current_timestamp)::text then
--         v_actor_type := split_part(v_actor, chr(31), 2);
--         v_actor_id := split_part(v_actor, chr(31), 3);
--         v_actor_label := nullif(split_part(v_actor, chr(31), 4), '');
--         if split_part(v_actor, chr(31), 5) <> ''
--           or v_actor_id = '' or v_actor_type in ('', 'database')
--         then
--           if v_actor_id = '' or v_actor_type in ('', 'database') then
--             v_actor_type := 'database';
--             v_actor_id := session_user;
--             v_actor_label := null;
--           elsif split_part(v_actor, chr(31), 5) like ' {%' then
--             v_context := split_part(v_actor, chr(31), 5)::jsonb;
--           else
--             v_context := case when split_part(v_actor, chr(31), 5) = '  null' then null
--               when split_part(v_actor, chr(31), 5) like '  {%' then split_part(v_actor, chr(31), 5)::jsonb
--               else audit.context_of(split_part(v_actor, chr(31), 5)) end;
--             if split_part(v_actor, chr(31), 6) <> all ('{"",database}')
--               and split_part(v_actor, chr(31), 7) <> ''
--             then
--               v_on_behalf_of_type := split_part(v_actor, chr(31), 6);
--               v_on_behalf_of_id := split_part(v_actor, chr(31), 7);
--               v_on_behalf_of_label := nullif(split_part(v_actor, chr(31), 8), '');
--             end if;
--           end if;
--         end if;
--       else
--         v_actor_type := 'database';
--         v_actor_id := session_user;
--       end if;
--       v_item_id := audit.as_compiled(new."id", null::pg_catalog.int4)::text;
--       v_item_label := audit.as_compiled(new."title", null::pg_catalog.text)::text;
--       insert into audit.log (
--         account_id, action, item_type, item_id, item_label, parent_type, parent_id,
--         actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
--         db_role, application, is_cascade, is_deleted, layout, row_values, changes, context
--       )
--       select
--         '',
--         'renamed',
--         'note',
--         _audit.v_item_id,
--         _audit.v_item_label,
--         null,
--         (null)::text,
--         _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
--         _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
--         session_user,
--         current_setting('application_name'),
--         false,
--         false,
--         1,
--         null,
--         _audit.v_renamed_changes,
--         _audit.v_context;
--     end if;
--     return null;
--   end;
--   $function$
create or replace function audit.compile_table(t audit.tracked)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_trait record;
  v_settings text[] := audit.settings_for(t, false);
  v_row_settings text[] := audit.settings_for(t, true);
  v_insert_by_row boolean;
  v_delete_by_row boolean;
  -- Where all columns are operational, no update is an action.
  v_has_columns boolean := exists (select from audit.audited_columns(t));
  v_result audit.compiled;
begin
  v_result.name := audit.name_of(t.target);
  v_result.fingerprint := audit.fingerprint(t);
  select coalesce(jsonb_object_agg(f.name, f.ddl), '{}'),
      coalesce(jsonb_object_agg(f.name, f.reader) filter (where f.reader is not null), '{}')
        || jsonb_build_object(t.slug || '_cascade', audit.departed_reader(t),
          t.slug || '_cascade_row', audit.departed_reader(t))
    into v_result.functions, v_result.owners
    from (
      select r.name, r.ddl, r.reader from audit.reader_functions(t) as r
      union all
      select b.name, b.ddl, null from audit.bound_functions(t) as b
    ) as f;
  v_result.triggers := jsonb_build_object('_audit_truncate', format(
    'after truncate on %s for each statement execute function audit.log_truncate(%L, %L)',
    t.target, t.on_truncate, v_result.name));
  select * into strict v_trait from audit.table_trait(t.target);
  if v_trait.is_partitioned then
    return audit.compile_partitioned(t, v_settings, v_result);
  end if;
  if not audit.follows_ddl() then
    v_result.triggers := v_result.triggers || jsonb_build_object('_audit_alone', format(
      'after delete on %s referencing old table as old_rows for each row when (false) '
      'execute function audit.stand_alone()', t.target));
  end if;
  -- A trigger of the application that runs row by row would be logged before its cause.
  v_insert_by_row := v_trait.has_after_insert;
  v_delete_by_row := v_trait.has_after_delete;

  v_result := audit.add_trigger(v_result, t, 'insert', 'after insert',
    case when not v_insert_by_row then 'new table as new_rows' end,
    audit.write_function(t, 'insert', v_insert_by_row, v_row_settings));
  if v_has_columns and (select bool_or(r.is_grouped) from audit.rules_of(t, 'update') as r) then
    v_result := audit.add_trigger(v_result, t, 'update', 'after update',
      'old table as old_rows new table as new_rows',
      audit.compile_function(t, 'update',
        audit.actor_variables(),
        audit.read_actor() || audit.merge_body(t), true, v_row_settings));
  elsif v_has_columns and exists (select from audit.rules_of(t, 'update')) then
    v_result := audit.add_trigger(v_result, t, 'update', 'after update' || audit.update_list(t), null,
      audit.compile_function(t, 'update', audit.update_variables(t), audit.update_body(t),
        audit.reads_inline(t, 'update'), v_settings));
  end if;
  v_result := audit.add_trigger(v_result, t, 'cascade', 'after delete',
    case when not v_delete_by_row then 'old table as old_rows' end,
    audit.departed_function(t, v_delete_by_row, v_settings));
  v_result := audit.add_trigger(v_result, t, 'delete', 'after delete',
    case when not v_delete_by_row then 'old table as old_rows' end,
    audit.write_function(t, 'delete', v_delete_by_row, v_row_settings));
  return v_result;
end;
$$;

revoke all on function audit.compile_table(audit.tracked) from public;

comment on function audit.compile_table(audit.tracked) is
  'The functions and triggers, by name, that a declaration compiles to.';

-- The layouts whose records tell all that is audited of a row now: the newest one, and those
-- before it until one lacks a column, or had it of another type. What came before that one was not
-- told without a gap.
create or replace function audit.whole_layouts(t audit.tracked)
  returns integer[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with own as materialized (
    select y.id, y.columns, y.secret_numbers
    from audit.layout as y
    where y.tracked_id = t.id and y.relation = t.target and y.id <= t.layout
  )
  select coalesce(array_agg(w.id), '{}')
  from (
    select y.id,
      bool_and(not exists (
        select from own as n
        cross join jsonb_array_elements(n.columns) as c
        where n.id = t.layout and not exists (
          select from jsonb_array_elements(y.columns) as o
          where o -> 'number' = c -> 'number' and o -> 'type' = c -> 'type')
      ) and not exists (
        select from own as n
        cross join unnest(n.secret_numbers) as s
        where n.id = t.layout and s <> all (y.secret_numbers || array(
          select (o ->> 'number')::smallint from jsonb_array_elements(y.columns) as o)))
      ) over (order by y.id desc) as is_whole
    from own as y
  ) as w
  where w.is_whole
$$;

revoke all on function audit.whole_layouts(audit.tracked) from public;

comment on function audit.whole_layouts(audit.tracked) is
  'The layouts of a tracked table whose records hold all columns that are audited now.';

-- The columns of the key, with what a reader of the table compares them by: the operators of the
-- index itself, whose names may mean something else where the type is not PostgreSQL's own.
create or replace function audit.baseline_key_columns(t audit.tracked)
  returns table (
    place bigint, number smallint, name text, reference text, type text, is_array boolean,
    schema text, above text, same text, up_to text
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select k.place, a.attnum, a.attname::text, 'r.' || audit.quoted(a.attname),
    format_type(a.atttypid, a.atttypmod), exists (
      select from pg_type as p where p.oid = a.atttypid and p.typelem <> 0 and p.typlen = -1),
    o.schema, o.above, o.same, o.up_to
  from unnest(audit.key_of(t.target)) with ordinality as k (number, place)
  join pg_attribute as a on a.attrelid = t.target and a.attnum = k.number
  left join lateral (
    select
      min(n.nspname::text) as schema,
      min(q.name) filter (where m.amopstrategy = 5) as above,
      min(q.name) filter (where m.amopstrategy = 3) as same,
      min(q.name) filter (where m.amopstrategy = 2) as up_to
    from pg_index as i
    join pg_opclass as c on c.oid = i.indclass[k.place - 1]
    join pg_amop as m on m.amopfamily = c.opcfamily
      and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
    join pg_operator as p on p.oid = m.amopopr
    join pg_namespace as n on n.oid = p.oprnamespace
    cross join lateral (select format('operator(%I.%s)', n.nspname, p.oprname)) as q (name)
    where i.indrelid = t.target and i.indisprimary
  ) as o on true
$$;

revoke all on function audit.baseline_key_columns(audit.tracked) from public;

comment on function audit.baseline_key_columns(audit.tracked) is
  'The key columns of a tracked table, and the operators that compare them as its index does.';

-- The two functions by which a baseline reads a table. They have the rights of the table's owner,
-- so that whatever the table makes PostgreSQL run has those and no others. The first locks rows,
-- one after the other and none that somebody holds: from then on until the end of the transaction
-- they stay as they are, and who wants to change one waits so long. The second shows what is
-- locked.
create or replace function audit.baseline_reader(t audit.tracked)
  returns table (name text, ddl text)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_source constant text := format(' from %s as r where ', audit.name_of(t.target));
  v_key text;
  v_order text;
  v_newest text;
  v_columns text;
  v_after text;
  v_up_to text;
  v_among text;
  v_settings text;
begin
  select
      format('array[%s]::text',
        string_agg(format('concat(%s)', k.reference), ', ' order by k.place)),
      string_agg(k.reference, ', ' order by k.place),
      string_agg(k.reference || ' desc', ', ' order by k.place),
      case when count(distinct k.schema) = 1 and count(k.schema) = count(*) then format(
        case count(*) when 1 then '%s %s %s' else '(%s) %s (%s)' end,
        replace(string_agg(k.reference, ', ' order by k.place), '%', '%%'),
        replace(min(k.above), '%', '%%'),
        string_agg(format('%%%s$L::%s', k.place, replace(k.type, '%', '%%')), ', '
          order by k.place))
      end,
      replace(min(k.up_to), '%', '%%'),
      case when not bool_or(k.is_array and k.place = 1)
        and count(distinct k.schema) = 1 and count(k.schema) = count(*)
        then string_agg(replace(format('%s %s any ', k.reference, k.same), '%', '%%')
          || format('(%%L::%s[])', replace(k.type, '%', '%%')), '') filter (where k.place = 1) end
    into v_key, v_order, v_newest, v_after, v_up_to, v_among
    from audit.baseline_key_columns(t) as k;
  v_columns := v_order;
  if v_after is not null then
    v_up_to := replace(v_after,
      replace((select min(k.above) from audit.baseline_key_columns(t) as k), '%', '%%'), v_up_to);
  else
    -- A key whose columns have no operators in common is gone through by its text.
    v_columns := 'r.*';
    v_order := v_key || ' collate "C"';
    v_newest := v_order || ' desc';
    v_after := replace(v_order, '%', '%%') || ' > (array[' || (
      select string_agg(format('%%%s$L', k.place), ', ' order by k.place)
      from audit.baseline_key_columns(t) as k) || ']::text[]::text)';
    v_up_to := format('not (%s)', v_after);
  end if;
  select string_agg(distinct E'\n  set ' || s, '') into v_settings
    from unnest(audit.settings_for(t, true)) as s;
  v_settings := format(E'\n  language plpgsql\n  security definer'
    '\n  set search_path = pg_catalog, pg_temp\n  set enable_seqscan = off\n  set jit = off'
    '\n  set row_security = off\n  set standard_conforming_strings = on%s', v_settings);
  return query values (t.slug || '_baseline_lock', format(
'create or replace function audit.%I(
  after text, size integer, keys text[], age integer, out up_to text, out locked text[],
  out missed text[], out changed bigint
)%s
as %L', t.slug || '_baseline_lock', v_settings, format(
'
-- Compiled from the declaration of %s (audit.tracked) by audit.baseline().
declare
  v_key constant text := %L;
  v_source constant text := %L;
  v_where text := ''true'';
  v_count bigint;
begin
  locked := ''{}'';
  missed := ''{}'';
  changed := 0;
  if keys is null and age is not null then
    execute format(''select coalesce(array_agg(%%s), ''''{}'''')%%s pg_catalog.age(r.xmin) <= %%s'',
      v_key, v_source, age) into missed;
    return;
  elsif keys is not null then
    v_where := %s || format(''%%s = any (%%L::text[])'', v_key, keys);
  else
    if after is not null then
      v_where := format(%L, variadic after::text[]);
    end if;
    execute format(
      ''select %%s from (select %%s%%s %%s order by %%s limit %%s) as r order by %%s limit 1'',
      v_key, %L, v_source, v_where, %L, size, %L) into up_to;
    if up_to is null then
      return;
    end if;
    v_where := v_where || '' and '' || format(%L, variadic up_to::text[]);
  end if;
  execute format(''select coalesce(array_agg(s.k), ''''{}''''), count(*) filter (where s.n)
    from (select %%s as k, %%s as n%%s %%s for share of r skip locked) as s'',
    v_key, coalesce(''pg_catalog.age(r.xmin) <= '' || age, ''false''), v_source, v_where)
    into locked, changed;
  execute format(''select count(*)%%s %%s'', v_source, v_where) into v_count;
  if v_count > cardinality(locked) then
    execute format(''select array(select %%s%%s %%s and %%s <> all ($1))'',
      v_key, v_source, v_where, v_key) into missed using locked;
  end if;
end;
',
      translate(t.target::text, E'\n\r', '  '), v_key, v_source,
      case when v_among is null then quote_literal('') else format(
        'format(%L, array(select (_audit_k::text[])[1] from unnest(keys) as _audit_u (_audit_k)))',
        v_among || ' and ')
        end,
      v_after, v_columns, v_order, v_newest, v_up_to)));
  return query values (t.slug || '_baseline_rows', format(
'create or replace function audit.%I(text, text, text[])
  returns table (%s)%s
as %L', t.slug || '_baseline_rows',
    (select string_agg(format('%s %s', c.field, audit.builtin_name(c.type)), ', ' order by c.number)
     from audit.columns_of(t.target) as c), v_settings, format(
'
-- Compiled from the declaration of %s (audit.tracked) by audit.baseline().
#variable_conflict use_column
declare
  v_where text := %s;
begin
  if $2 is not null then
    v_where := format(%L, variadic $2::text[]) || '' and '';
    if $1 is not null then
      v_where := v_where || format(%L, variadic $1::text[]) || '' and '';
    end if;
  end if;
  return query execute %L || v_where || %L using $3;
end;
',
      translate(t.target::text, E'\n\r', '  '),
      case when v_among is null then quote_literal('') else format(
        'format(%L, array(select (_audit_k::text[])[1] from unnest($3) as _audit_u (_audit_k)))',
        v_among || ' and ') end,
      v_up_to, v_after,
      'select ' || (
        select string_agg(case when audit.is_builtin(c.declared_type) then 'r.' || c.ident
          else audit.presented(c.declared_type, 'r.' || c.ident) end, ', ' order by c.number)
        from audit.columns_of(t.target) as c) || v_source,
      v_key || ' = any ($1)')));
end;
$$;

revoke all on function audit.baseline_reader(audit.tracked) from public;

comment on function audit.baseline_reader(audit.tracked) is
  'The functions, by name, that lock and show rows of a tracked table for its baseline.';

-- The function that writes rows of a baseline: what audit.baseline_reader() shows, told as a
-- created row would be, without those that the log has whole already. Rows are told one by one,
-- also where their actions are grouped.
create or replace function audit.baseline_writer(t audit.tracked)
  returns table (name text, ddl text)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_name constant text := t.slug || '_baseline_write';
  v_row audit.row_sql := audit.bind_row(t, 'new', false);
  v_prefix text := coalesce(t.part, (
    select t.item_type
    from jsonb_array_elements(t.actions) as r
    cross join audit.table_trait(t.target) as i
    where (r -> 'grouped')::boolean and not i.is_partitioned and not i.has_after_insert
    limit 1)) || '/';
  v_record text := case when v_prefix is null then audit.row_record(t, 'new') end;
  v_changes text := audit.row_changes(t, 'new');
  v_key text := 'null';
  v_body text;
begin
  if v_prefix is not null or t.item_id is not null then
    -- Several rows may be of one item: then the key tells which of them the log has.
    select case when bool_and(a.name is not null) then format(
        case when v_record is null
          then '(select jsonb_build_array(%s) from (select %s) as _audit_c (c))'
          else '(select jsonb_build_array(%s) from audit.record_values(%s, %s) as _audit_c (c))'
          end,
        string_agg(case when v_record is null then format('c -> %L -> ''new''', k.name)
          else format('c[%s]', a.place) end, ', ' order by k.place),
        case when v_record is null then v_changes else t.layout::text end, v_record) end
      into v_key
      from audit.baseline_key_columns(t) as k
      left join (
        select c.name, row_number() over (order by c.number) as place
        from audit.columns_of(t.target) as c
        where c.name <> all (t.operational) and c.name <> all (t.secret)
      ) as a on a.name = k.name;
  end if;
  if v_prefix is not null then
    v_changes := format(
      E'(select jsonb_object_agg(%L || %s || ''/'' || _audit_c.key, _audit_c.value)'
      '\n     from jsonb_each(%s) as _audit_c)', v_prefix, v_row.part_name, v_changes);
  end if;
  v_body := format(
E'  with _audit_row as materialized (
    select * from audit.%I($1, $2, $3)
  ), _audit_told as materialized (
    select * from audit.told_rows(%s, array(
      select distinct %s from _audit_row as new%s))
  )\n',
      t.slug || '_baseline_rows', t.id, v_row.item_id, v_row.joins)
    || audit.insert_log(t, v_row, quote_literal(t.item_type || '_baseline'),
      case when v_record is null then v_changes else 'null' end, 'false', '_audit_row as new',
      case when v_key is not null then format(
        'not exists (select from _audit_told as _audit_k where _audit_k.item_id = %s%s)',
        v_row.item_id, case v_key when 'null' then '' else ' and _audit_k.key = ' || v_key end)
        else '' end,
      v_record);
  return query values (v_name, format(
'create or replace function audit.%I(text, text, text[])
  returns bigint
  language plpgsql%s
  set enable_nestloop = off
  set plan_cache_mode = force_custom_plan
as %L',
    v_name, audit.function_settings(t, 'insert', v_body, true, audit.settings_for(t, true)), format(
'
-- Compiled from the declaration of %s (audit.tracked) by audit.baseline().
#variable_conflict use_column
<<_audit>>
declare
  v_current constant boolean := audit.is_current(%s, %L, %s);
  v_actor_type constant text := ''system'';
  v_actor_id constant text := ''baseline'';
  v_actor_label constant text := null;
  v_context constant jsonb := null;
  v_on_behalf_of_type constant text := null;
  v_on_behalf_of_id constant text := null;
  v_on_behalf_of_label constant text := null;
  v_told bigint;
begin
%s  get diagnostics v_told = row_count;
  perform pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true);
  return v_told;
end;
',
      translate(t.target::text, E'\n\r', '  '), t.id, audit.fingerprint(t),
      (select string_agg(format('%L::regclass', r::oid::text), ', ' order by n)
       from unnest(t.tables) with ordinality as u (r, n)),
      v_body)));
end;
$$;

revoke all on function audit.baseline_writer(audit.tracked) from public;

comment on function audit.baseline_writer(audit.tracked) is
  'The function, by name, that writes rows of a tracked table into the log as its baseline.';

-- The relations that carry triggers for a tracked table: itself and, for TRUNCATE, its partitions.
create or replace function audit.triggered_relations(target regclass)
  returns setof regclass
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select target
  union all
  select p.relid
  from pg_partition_tree(target) as p
  where p.relid <> target
$$;

revoke all on function audit.triggered_relations(regclass) from public;

comment on function audit.triggered_relations(regclass) is
  'A tracked table and its partitions.';

-- Row triggers are cloned to partitions by PostgreSQL; of the statement triggers, partitions have
-- the one for TRUNCATE, and those that have partitions themselves the two around a move.
create or replace function audit.carries(relation regclass, target regclass, trigger_name text)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select relation = target or trigger_name = '_audit_truncate'
    or trigger_name in ('_audit_move', '_audit_moved')
      and exists (select from pg_class as c where c.oid = relation and c.relkind = 'p')
$$;

revoke all on function audit.carries(regclass, regclass, text) from public;

comment on function audit.carries(regclass, regclass, text) is
  'Whether a trigger of a tracked table is one that a relation, itself or a partition, is given.';

-- Whether a trigger is there and fires always, also in a session that plays the replica.
create or replace function audit.has_trigger(
  relation regclass, trigger_name text, or_disabled boolean default false
)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_trigger as g
    where g.tgrelid = relation and g.tgname = trigger_name
      and (g.tgenabled = 'A' or (or_disabled and g.tgenabled = 'D')))
$$;

revoke all on function audit.has_trigger(regclass, text, boolean) from public;

comment on function audit.has_trigger(regclass, text, boolean) is
  'Whether a trigger of this name exists on a table and is enabled always (or disabled by hand).';

-- A function goes to a role. A role that is no superuser may give only to one that may create in
-- the schema, which is so for this moment alone.
create or replace function audit.hand_over(name text, role name)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_lends boolean := not has_schema_privilege(role, 'audit', 'create')
    and not (select r.rolsuper from pg_roles as r where r.rolname = current_user);
begin
  if v_lends then
    execute format('grant create on schema audit to %I', role);
  end if;
  execute format('alter function audit.%I owner to %I', name, role);
  if v_lends then
    execute format('revoke create on schema audit from %I', role);
  end if;
end;
$$;

revoke all on function audit.hand_over(text, name) from public;

comment on function audit.hand_over(text, name) is 'Gives a function of schema audit to a role.';

-- A compiled function goes to the role whose rights it shall have, and trigger functions may call
-- it.
create or replace function audit.give_function(name text, role text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_role name := audit.role_for(role);
begin
  perform audit.hand_over(name, v_role);
  execute format('revoke all on function audit.%I from public', name);
  if v_role <> audit.role_for('audit_writer') then
    execute format('grant execute on function audit.%I to %I', name, audit.role_for('audit_writer'));
  end if;
end;
$$;

revoke all on function audit.give_function(text, text) from public;

comment on function audit.give_function(text, text) is
  'Gives a compiled function to the role whose rights it shall have.';

-- What compiled functions read, their roles may read: columns, no more. Where that cannot be had,
-- the declaration is refused, and not the first write.
create or replace function audit.grant_reading(
  t audit.tracked, relation regclass, columns text[], reader text
)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_owner name := audit.role_for('owner');
  v_name text := audit.name_of(relation);
  v_list text := (select string_agg(audit.quoted(c), ', ') from unnest(columns) as c);
  v_schema text;
  v_role name;
begin
  select n.nspname into v_schema
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace where c.oid = relation;
  if reader = 'audit_lookup' and audit.role_for('audit_lookup') = v_owner then
    raise exception 'cannot track %: it takes the role audit_lookup to read %, which belongs to %',
      t.target, v_name,
      (select quote_ident(pg_get_userbyid(c.relowner)) from pg_class as c where c.oid = relation)
      using errcode = 'UA005', hint = format('As a superuser: create role audit_lookup nologin; '
        'grant audit_lookup to %I; then select audit.grant_rights();', v_owner);
  end if;
  for v_role in
    select distinct audit.role_for(r) from unnest(case reader when 'owner' then '{}'::text[]
      when 'inline' then array['audit_writer', 'audit_lookup'] else array['audit_lookup'] end) as r
    where audit.role_for(r) <> v_owner
  loop
    begin
      if not has_schema_privilege(v_role, v_schema, 'usage') then
        execute format('grant usage on schema %I to %I', v_schema, v_role);
      end if;
      if exists (select from unnest(columns) as c
                 where not has_column_privilege(v_role, relation, c, 'select')) then
        execute format('grant select (%s) on %s to %I', v_list, v_name, v_role);
      end if;
    exception
      when insufficient_privilege then null;
    end;
    if not has_schema_privilege(v_role, v_schema, 'usage')
      or exists (select from unnest(columns) as c
                 where not has_column_privilege(v_role, relation, c, 'select')) then
      raise exception 'cannot track %: % may not read %', t.target, v_role, v_name
        using errcode = 'UA005', hint = format('grant usage on schema %I to %I; '
          'grant select (%s) on %s to %2$I;', v_schema, v_role, v_list, v_name);
    end if;
  end loop;
  if reader = 'audit_lookup' and audit.is_filtered(relation)
    and not exists (
      select from pg_policy as p
      where p.polrelid = relation and p.polpermissive and p.polcmd in ('r', '*')
        and (0 = any (p.polroles) or to_regrole('audit_lookup') = any (p.polroles))
        and pg_get_expr(p.polqual, p.polrelid) = 'true')
  then
    raise exception 'cannot track %: row security on % hides rows from audit_lookup',
      t.target, v_name
      using errcode = 'UA005', hint = format(
        'create policy audit_lookup on %s for select to audit_lookup using (true);', v_name);
  end if;
end;
$$;

revoke all on function audit.grant_reading(audit.tracked, regclass, text[], text) from public;

comment on function audit.grant_reading(audit.tracked, regclass, text[], text) is
  'Lets the roles of compiled functions read columns of a table, or says why it cannot.';

-- When a declaration ends, nothing is left of what its functions could read, but what another one
-- needs.
create or replace function audit.revoke_reading(tables regclass[])
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_relation regclass;
  v_schema text;
  v_role name;
begin
  for v_relation, v_schema, v_role in
    select c.oid, n.nspname, r.rolname
    from unnest(tables) as u (relation)
    join pg_class as c on c.oid = u.relation
    join pg_namespace as n on n.oid = c.relnamespace
    cross join pg_roles as r
    where r.rolname in ('audit_writer', 'audit_lookup')
      and not exists (select from audit.tracked as k
                      where k.tables::oid[] @> array[u.relation::oid])
      and exists (select from pg_attribute as a cross join lateral aclexplode(a.attacl) as x
                  where a.attrelid = c.oid and x.grantee = r.oid)
  loop
    execute format('revoke select on %s from %I', audit.name_of(v_relation), v_role);
    if not exists (
      select from pg_attribute as a
      join pg_class as c on c.oid = a.attrelid
      cross join lateral aclexplode(a.attacl) as x
      where c.relnamespace = to_regnamespace(format('%I', v_schema))
        and x.grantee = to_regrole(v_role::text))
    then
      execute format('revoke usage on schema %I from %I', v_schema, v_role);
    end if;
  end loop;
end;
$$;

revoke all on function audit.revoke_reading(regclass[]) from public;

comment on function audit.revoke_reading(regclass[]) is
  'Takes the right to read tables from the roles of compiled functions where none needs it.';

-- Whether a compiled function is as it was compiled, and has the rights that it shall have.
create or replace function audit.is_function_installed(name text, ddl text, owner text)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_proc as f
    where f.oid = to_regproc(format('audit.%I', name))
      and pg_get_userbyid(f.proowner) = audit.role_for(coalesce(owner, 'audit_writer'))
      -- A bound one has a parsed body, and its name says which.
      and (f.prosqlbody is not null
        or right(ddl, length(quote_literal(f.prosrc))) = quote_literal(f.prosrc)))
$$;

revoke all on function audit.is_function_installed(text, text, text) from public;

comment on function audit.is_function_installed(text, text, text) is
  'Whether a compiled function is there, as it was compiled, with its owner.';

-- Whether what was compiled for a table is there: its functions as they were compiled, its triggers
-- on it and on its partitions. Triggers that the owner disabled stay so.
create or replace function audit.is_installed(t audit.tracked)
  returns boolean
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  return not exists (
      select from jsonb_each_text(t.compiled -> 'functions') as e
      where not audit.is_function_installed(e.key, e.value, t.compiled -> 'owners' ->> e.key))
    and not exists (
      select from jsonb_object_keys(t.compiled -> 'triggers') as g
      where not audit.has_trigger(t.target, g, true))
    and not exists (
      select from audit.triggered_relations(t.target) as r
      cross join unnest(array['_audit_truncate', '_audit_move', '_audit_moved']) as g
      where r <> t.target and audit.carries(r, t.target, g)
        and t.compiled -> 'triggers' ? g and not audit.has_trigger(r, g, true));
end;
$$;

revoke all on function audit.is_installed(audit.tracked) from public;

comment on function audit.is_installed(audit.tracked) is
  'Whether the compiled functions and triggers of a table are there as they were compiled.';

-- Puts compiled functions and triggers in place, touching only what differs: replacing a function
-- takes no lock on the table, replacing a trigger does.
create or replace function audit.install_compiled(t audit.tracked, compiled audit.compiled)
  returns boolean
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_was audit.compiled := jsonb_populate_record(null::audit.compiled, t.compiled);
  v_relation regclass;
  v_name text;
  v_text text;
  v_changed boolean := false;
begin
  for v_name, v_text in select e.key, e.value from jsonb_each_text(compiled.functions) as e loop
    continue when v_text = v_was.functions ->> v_name
      and audit.is_function_installed(v_name, v_text, compiled.owners ->> v_name);
    execute v_text;
    perform audit.give_function(v_name, coalesce(compiled.owners ->> v_name, 'audit_writer'));
    execute format('comment on function audit.%I is %L', v_name,
      format('Compiled by audit.track() for %s.', audit.name_of(t.target)));
    v_changed := true;
  end loop;

  for v_relation in select audit.triggered_relations(t.target) loop
    for v_name, v_text in
      select e.key, e.value from jsonb_each_text(compiled.triggers) as e
      where audit.carries(v_relation, t.target, e.key)
      order by e.key
    loop
      -- One that the owner disabled stays so.
      continue when audit.has_trigger(v_relation, v_name, true)
        and v_text = v_was.triggers ->> v_name;
      if exists (select from pg_trigger as g
                 where g.tgrelid = v_relation and g.tgname = v_name) then
        execute format('drop trigger %I on %s', v_name, audit.name_of(v_relation));
      end if;
      execute format('create trigger %I %s', v_name,
        replace(v_text, format(' on %s ', t.target), format(' on %s ', audit.name_of(v_relation))));
      execute format('alter table %s enable always trigger %I', audit.name_of(v_relation), v_name);
      v_changed := true;
    end loop;
  end loop;

  for v_name in select jsonb_object_keys(v_was.triggers)
    except select jsonb_object_keys(compiled.triggers)
  loop
    execute format('drop trigger if exists %I on %s', v_name, audit.name_of(t.target));
    v_changed := true;
  end loop;
  for v_name in select jsonb_object_keys(v_was.functions)
    except select jsonb_object_keys(compiled.functions)
  loop
    execute format('drop function if exists audit.%I', v_name);
    v_changed := true;
  end loop;
  return v_changed;
end;
$$;

revoke all on function audit.install_compiled(audit.tracked, audit.compiled) from public;

comment on function audit.install_compiled(audit.tracked, audit.compiled) is
  'Creates the compiled functions and triggers of a table where they differ; says whether any did.';

-- Application to transaction: names who is responsible for what follows, and for whom they do it.
--
-- It is called as applications call it: ids are texts, numbers or uuids, the context is text, jsonb
-- or json, and all of them may be literals without a type: exactly one of these functions takes a
-- call. It costs more for each that could take it, and for each parameter that it leaves out. So
-- whom it is done for has functions of its own, in which label and context cannot be left out.
create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text default null,
  context text default null
)
  returns boolean
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- What audit.read_actor() takes apart, by a character that names cannot hold (U+001F).
  v_setting text collate "C" := concat(extract(epoch from current_timestamp), chr(31),
    actor_type, chr(31), actor_id, chr(31), actor_label);
begin
  -- One question for all that is rare: the first message of a transaction, a name that is missing,
  -- reserved or perhaps too long, separators in names.
  if current_timestamp <> statement_timestamp() and v_setting not like all (array[
    '%' || chr(31) || chr(31) || '%', '%' || chr(31) || 'database' || chr(31) || '%',
    repeat('%' || chr(31), 4) || '%', repeat('_', 120) || '%'])
  then
    if context is null then
      return set_config('audit.actor', v_setting, true) is not null;
    elsif jsonb_typeof(context::jsonb) = 'object' then
      return set_config('audit.actor', concat(v_setting, chr(31), ' ', context), true) is not null;
    end if;
  end if;
  return audit.set_actor(
    actor_type, actor_id::text, actor_label, context, null::text, null::text, null::text);
end;
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context text,
  on_behalf_of_type text,
  on_behalf_of_id text,
  on_behalf_of_label text default null
)
  returns boolean
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_type text collate "C" := translate(actor_type, chr(31), '');
  v_id text collate "C" := translate(actor_id::text, chr(31), '');
  v_label text collate "C" := translate(actor_label, chr(31), '');
  v_for_type text collate "C" :=
    nullif(translate(on_behalf_of_type, chr(31), '') collate "C", '');
  v_for_id text collate "C" :=
    nullif(translate(on_behalf_of_id, chr(31), '') collate "C", '');
  v_for_label text collate "C" :=
    nullif(translate(on_behalf_of_label, chr(31), '') collate "C", '');
  v_context jsonb := nullif(context::jsonb, 'null');
  v_query text;
  v_stack text;
  v_wrong text;
begin
  if coalesce(v_type, '') = '' or coalesce(v_id, '') = '' then
    raise exception 'an actor needs a type and an id'
      using errcode = 'UA005',
        hint = 'For example: select audit.set_actor(''platform_user'', ''42'', ''ana@example.com'').';
  end if;
  if 'database' in (v_type, v_for_type) then
    raise exception 'the actor type database stands for a transaction without an actor'
      using errcode = 'UA005', hint = 'Give the type of the actor a name of its own.';
  end if;
  if num_nulls(v_for_type, v_for_id) = 1
    or (v_for_type is null and v_for_label is not null)
  then
    raise exception 'whom an actor acts on behalf of needs a type and an id'
      using errcode = 'UA005';
  end if;
  -- Types and ids must fit into an entry of an index.
  if octet_length(concat(v_type, v_id, v_label, v_for_type, v_for_id, v_for_label)) > 100 then
    select format('%s of %s is longer than %s characters', f.name, f.whose, f.length) into v_wrong
      from (values
        ('the type', 'an actor', v_type, 100),
        ('the id', 'an actor', v_id, 255),
        ('the label', 'an actor', v_label, 500),
        ('the type', 'whom an actor acts on behalf of', v_for_type, 100),
        ('the id', 'whom an actor acts on behalf of', v_for_id, 255),
        ('the label', 'whom an actor acts on behalf of', v_for_label, 500)
      ) as f (name, whose, value, length)
      where length(f.value) > f.length
      limit 1;
    if found then
      raise exception '%', v_wrong using errcode = 'UA005';
    end if;
  end if;
  if jsonb_typeof(v_context) <> 'object' then
    raise exception 'the context of an actor must be a JSON object, not %', jsonb_typeof(v_context)
      using errcode = 'UA005';
  end if;

  -- The setting lives as long as the transaction. A statement that is a transaction of its own and
  -- does nothing else would set it for nobody. The server shows that only by the two clocks: they
  -- agree in the first message of a transaction.
  if current_timestamp = statement_timestamp() then
    v_query := coalesce(current_query(), '');
    get diagnostics v_stack = pg_context;
    if v_query !~ $re$;\s*\S$re$
      and v_query !~* $re$\m(insert|update|delete|merge|copy|call)\M$re$
      -- Nobody else's code calls it.
      and v_stack !~ $re$\n(?!(PL/pgSQL function audit\.|SQL function ")set_actor\M)$re$
    then
      raise exception 'audit.set_actor() was called outside a transaction'
        using errcode = 'UA006',
          detail = 'The actor holds until the end of the transaction, which is this statement.',
          hint = 'Begin a transaction, set the actor, write, and commit.';
    end if;
  end if;
  return set_config('audit.actor', concat_ws(chr(31),
    extract(epoch from current_timestamp), v_type, v_id, coalesce(v_label, ''),
    case when v_for_type is null then ' ' || v_context::text
      else '  ' || coalesce(v_context, 'null')::text end,
    v_for_type, v_for_id, v_for_label), true) is not null;
end;
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context text,
  on_behalf_of_type text,
  on_behalf_of_id bigint,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4, $5, $6::pg_catalog.text, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context text,
  on_behalf_of_type text,
  on_behalf_of_id uuid,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4, $5, $6::pg_catalog.text, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement,
  on_behalf_of_type text,
  on_behalf_of_id text,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text, $5, $6, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement,
  on_behalf_of_type text,
  on_behalf_of_id bigint,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text, $5, $6::pg_catalog.text, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement,
  on_behalf_of_type text,
  on_behalf_of_id uuid,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text, $5, $6::pg_catalog.text, $7)
$$;

grant execute on function
  audit.set_actor(text, anycompatible, text, text),
  audit.set_actor(text, anycompatible, text, text, text, text, text),
  audit.set_actor(text, anycompatible, text, anyelement),
  audit.set_actor(text, anycompatible, text, text, text, bigint, text),
  audit.set_actor(text, anycompatible, text, text, text, uuid, text),
  audit.set_actor(text, anycompatible, text, anyelement, text, text, text),
  audit.set_actor(text, anycompatible, text, anyelement, text, bigint, text),
  audit.set_actor(text, anycompatible, text, anyelement, text, uuid, text)
  to public;

comment on function audit.set_actor(text, anycompatible, text, text) is
  'Public. Names the actor of the current transaction: type, id, label, and context such as a '
  'request id.';

comment on function audit.set_actor(text, anycompatible, text, text, text, text, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement) is
  'Public. Names the actor of the current transaction: type, id, label, and context such as a '
  'request id.';

comment on function audit.set_actor(text, anycompatible, text, text, text, bigint, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, text, text, uuid, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement, text, text, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement, text, bigint, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement, text, uuid, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

-- A column in a compiled function has the type that it was compiled for, or the statement that
-- would have used it is a parse error: no cast is looked for, and no operator of another type. It
-- is put into the statement when that is planned, and costs nothing. So it has no settings of its
-- own.
create or replace function audit.as_compiled(value anyelement, type anyelement)
  returns anyelement
  language sql
  immutable
  parallel safe
as 'select $1';

revoke all on function audit.as_compiled(anyelement, anyelement) from public;

comment on function audit.as_compiled(anyelement, anyelement) is
  'The first argument, which has to be of exactly the type of the second.';

-- The guard of every compiled function against a table that has changed since.
create or replace function audit.is_current(
  tracked_id integer, fingerprint text, variadic tables regclass[]
)
  returns boolean
  language plpgsql
  -- Declared immutable so that it is answered once, when a session plans it. The plan depends on
  -- the tables named by the constants in its arguments, so any ALTER TABLE asks again.
  immutable
  -- Asked by functions that may read nothing themselves.
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
declare
  v_tracked audit.tracked;
  v_detail text;
begin
  select * into v_tracked from audit.tracked as k where k.id = tracked_id;
  if not found then
    raise exception 'this trigger was compiled from a declaration that is gone (number %)',
      tracked_id
      using errcode = 'UA003',
        hint = 'Declare the table again with audit.track(), or drop its triggers _audit_*. A dump of '
          'the schema alone has no declarations: take the data of audit.tracked along.';
  end if;
  if audit.fingerprint(v_tracked) <> is_current.fingerprint
    -- A trigger that may change columns which the statement does not name needs the wider trigger.
    -- Of a partition's own triggers the event triggers and audit.check() know: to look through all
    -- partitions for each of them would take the square of their number.
    or (v_tracked.compiled -> 'triggers' ->> '_audit_update' like 'after update of %'
      and (select r.has_before_update from audit.table_trait(v_tracked.target, false) as r))
    -- One that is gone says nothing itself.
    or v_tracked.trigger_count > (
      select count(*) from pg_trigger as g
      where g.tgrelid = v_tracked.target and starts_with(g.tgname, '_audit_'))
  then
    v_detail := 'Its columns, those it looks up or its triggers are not what they were.';
  -- Compiled in another database, by whose numbers the next change here would not be noticed.
  elsif v_tracked.tables::oid[] <> is_current.tables::oid[] and not audit.follows_ddl() then
    v_detail := 'It was restored, and nothing follows its changes yet.';
  end if;
  if v_detail is not null then
    raise exception 'table % has changed since its audit triggers were compiled',
      v_tracked.target
      using errcode = 'UA003', detail = v_detail,
        hint = case when audit.key_of(v_tracked.target) = '{}'
          then format('Run: alter table %s add primary key (...);', v_tracked.target)
          else format('Run: select audit.refresh(%L);', v_tracked.target) end;
  end if;
  return true;
end;
$$;

revoke all on function audit.is_current(integer, text, regclass[]) from public;

comment on function audit.is_current(integer, text, regclass[]) is
  'True, or an error that names audit.refresh() when a table no longer fits its triggers.';

-- Refuses a write without an actor where the declaration requires one.
create or replace function audit.demand_actor(name text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'a write to % needs an actor, and the transaction has none', demand_actor.name
    using errcode = 'UA002',
      hint = 'In the same transaction, before the write: '
        'select audit.set_actor(''platform_user'', ''42'', ''ana@example.com'').';
end;
$$;

revoke all on function audit.demand_actor(text) from public;

comment on function audit.demand_actor(text) is
  'Raises the error for a write without the actor that its table requires.';

-- Refuses a write of a row that the declaration finds no item for. The row itself is not told: it may
-- hold secrets.
create or replace function audit.refuse_null(name text, expression text)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'a row of % has no item: its item_id, %, is null', refuse_null.name,
    refuse_null.expression
    using errcode = 'UA005',
      hint = 'Write a row for which it is not null, or declare an item_id that never is, such as a '
        'column of the primary key: audit.track(..., item_id => ...).';
end;
$$;

revoke all on function audit.refuse_null(text, text) from public;

comment on function audit.refuse_null(text, text) is
  'Raises the error for a row whose item_id is null.';

-- What is said of an item that is another one from now on, or of another account or parent. Where
-- the account is one of several, each of them is told by a row of its own.
create or replace function audit.moved_identity(side text, this text[], other text[])
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(side, coalesce(jsonb_object_agg(f.name, f.other), '{}'))
  from unnest(array['account_id', 'item_id', 'parent_id'], this, other) as f (name, this, other)
  where f.this is distinct from f.other
$$;

revoke all on function audit.moved_identity(text, text[], text[]) from public;

comment on function audit.moved_identity(text, text[], text[]) is
  'The value of moved: on which side the item is, and what it is known by on the other.';

-- The context of a setting that nobody checked: what is no object is kept in one, for a fault in it
-- stops no write. What audit.set_actor() or the package set does not come here, so that no error is
-- caught on the way of a write.
create or replace function audit.context_of(given text)
  returns jsonb
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_context jsonb;
begin
  v_context := given::jsonb;
  if jsonb_typeof(v_context) = 'object' then
    return v_context;
  end if;
  return case when v_context <> 'null' then jsonb_build_object('unreadable', v_context) end;
exception when data_exception or program_limit_exceeded then
  return jsonb_build_object('unreadable', given);
end;
$$;

revoke all on function audit.context_of(text) from public;

comment on function audit.context_of(text) is
  'The context of the actor as an object; null where there is none.';

-- The actor of the transaction, for rows of the log that no compiled function writes. Its rules are
-- those of audit.read_actor().
create or replace function audit.actor_now(
  out actor_type text, out actor_id text, out actor_label text, out context jsonb,
  out on_behalf_of_type text, out on_behalf_of_id text, out on_behalf_of_label text
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_fields text[] := string_to_array(current_setting('audit.actor', true), chr(31), '');
begin
  if v_fields[1] = extract(epoch from current_timestamp)::text
    and v_fields[2] <> 'database' and v_fields[3] is not null
  then
    actor_type := v_fields[2];
    actor_id := v_fields[3];
    actor_label := v_fields[4];
    context := audit.context_of(v_fields[5]);
    if v_fields[6] <> 'database' and v_fields[7] is not null then
      on_behalf_of_type := v_fields[6];
      on_behalf_of_id := v_fields[7];
      on_behalf_of_label := v_fields[8];
    end if;
  else
    actor_type := 'database';
    actor_id := session_user;
  end if;
end;
$$;

revoke all on function audit.actor_now() from public;

comment on function audit.actor_now() is
  'The actor of the transaction: type, id, label, context, and whom they act for; without one the '
  'login role.';

-- Rows of the log that are about a table as a whole: truncated, tracked, changed, untracked.
create or replace function audit.write_table_event(
  action text, name text, changes jsonb, part_of text default null
)
  returns void
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  insert into audit.log (
    action, item_type, item_id, item_label, parent_type, parent_id,
    actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
    db_role, application, changes, context
  )
  select
    write_table_event.action, 'table', write_table_event.name, write_table_event.name,
    case when part_of is not null then 'table' end, part_of,
    a.actor_type, a.actor_id, a.actor_label,
    a.on_behalf_of_type, a.on_behalf_of_id, a.on_behalf_of_label,
    session_user, current_setting('application_name'), write_table_event.changes, a.context
  from audit.actor_now() as a;
end;
$$;

revoke all on function audit.write_table_event(text, text, jsonb, text) from public;

comment on function audit.write_table_event(text, text, jsonb, text) is
  'Writes a row of the log about a table.';

-- Rows of the log that are about the log itself: exported, imported.
create or replace function audit.write_log_event(action text, account_id text, details jsonb)
  returns bigint
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_id bigint;
begin
  if octet_length(write_log_event.account_id) > 2600 then
    raise exception 'the account is longer than the 2600 bytes that an index of the log holds'
      using errcode = 'UA005';
  end if;
  insert into audit.log (
    account_id, action, item_type, item_id, item_label,
    actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
    db_role, application, changes, context
  )
  select
    coalesce(write_log_event.account_id, ''), write_log_event.action, 'log', 'audit.log',
    'audit.log', a.actor_type, a.actor_id, a.actor_label,
    a.on_behalf_of_type, a.on_behalf_of_id, a.on_behalf_of_label,
    session_user, current_setting('application_name'),
    (select jsonb_object_agg(d.key, jsonb_build_object('new', d.value))
     from jsonb_each(details) as d),
    a.context
  from audit.actor_now() as a
  returning id into v_id;
  return v_id;
end;
$$;

revoke all on function audit.write_log_event(text, text, jsonb) from public;

comment on function audit.write_log_event(text, text, jsonb) is
  'Writes a row of the log about the log, and returns its id.';

-- TRUNCATE of a tracked table: one row of the log for each table, or a refusal.
create or replace function audit.log_truncate()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
declare
  v_table text := format('%I.%I', tg_table_schema, tg_table_name);
begin
  -- A partition that was detached is no longer part of what is tracked.
  if not exists (select from pg_inherits as i where i.inhrelid = tg_relid)
    and not exists (select from audit.tracked as k where k.target = tg_relid)
  then
    return null;
  end if;
  if tg_argv[0] = 'refuse' then
    raise exception 'truncate of % refused: it is declared so', v_table
      using errcode = 'UA007',
        hint = 'Delete the rows, or declare the table with on_truncate => ''log''.';
  end if;
  perform audit.write_table_event('table_truncated', v_table, null,
    nullif(tg_argv[1], v_table));
  return null;
end;
$$;

revoke all on function audit.log_truncate() from public;

comment on function audit.log_truncate() is 'Trigger that logs or refuses TRUNCATE.';

-- A table whose rows come and go by another one's name is past its triggers. A row trigger with
-- transition tables is what PostgreSQL itself refuses in a hierarchy: where no event trigger looks
-- after that, each tracked table has one that never fires.
create or replace function audit.stand_alone()
  returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  return null;
end;
$$;

revoke all on function audit.stand_alone() from public;

comment on function audit.stand_alone() is
  'Trigger that never fires: with it a table can become no partition, and no child of another.';

-- The guard of the log: rows are added, never changed, also not by the owner. What an import brought
-- leaves while audit.undo_import() undoes it.
create or replace function audit.refuse_change()
  returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' then
    if old.era < 0 and exists (
      select from audit.era as e
      where e.number = -old.era and e.kind = 'undone' and e.is_open)
    then
      return old;
    end if;
  end if;
  raise exception '% of %.% refused: the log is append-only',
    lower(tg_op), quote_ident(tg_table_schema), quote_ident(tg_table_name)
    using errcode = 'UA004',
      hint = 'Rows leave the log only with their whole partition, detached by its owner.';
end;
$$;

revoke all on function audit.refuse_change() from public;

comment on function audit.refuse_change() is
  'Trigger that refuses UPDATE, DELETE and TRUNCATE of the log.';

-- Row triggers are cloned to every partition, the one on TRUNCATE is not: maintain() adds it there.
create trigger refuse_change
  before update or delete on audit.log
  for each row execute function audit.refuse_change();

alter table audit.log enable always trigger refuse_change;

create trigger refuse_truncate
  before truncate on audit.log
  for each statement execute function audit.refuse_change();

alter table audit.log enable always trigger refuse_truncate;

-- Nobody is writing when an era begins, so that every row is visible, and every later one is of the new
-- era. What an import has begun becomes it.
create or replace function audit.add_era(kind text)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_number integer;
begin
  lock table only audit.log in access exclusive mode;
  update audit.era as e
    set is_open = false, began_at = clock_timestamp()
    where e.is_open
    returning e.number into v_number;
  if not found then
    insert into audit.era (number, log, server, kind)
    select coalesce(max(e.number), 0) + 1,
        coalesce((array_agg(e.log order by e.number desc))[1], gen_random_uuid()),
        (select s.system_identifier from pg_control_system() as s), add_era.kind
      from audit.era as e
      returning number into v_number;
  end if;
  execute format('alter table only audit.log alter column era set default %s', v_number);
  return v_number;
end;
$$;

revoke all on function audit.add_era(text) from public;

comment on function audit.add_era(text) is
  'Begins an era, or the one that an import has opened; returns its number.';

-- Before an import: exports wait until audit.add_era() says that its rows are complete. One that was
-- broken off goes on; the rows of another one must not be left as they are, for nobody would know.
create or replace function audit.open_import(imported jsonb)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_open audit.era;
begin
  select * into v_open from audit.era as e where e.is_open for update;
  if found then
    if v_open.imported -> 'sha256' is distinct from open_import.imported -> 'sha256'
      or v_open.kind <> 'imported'
    then
      raise exception 'import % of another export was broken off, its sha256 is %',
        v_open.number, v_open.imported ->> 'sha256'
        using errcode = 'object_in_use',
          hint = format('Run that import again, or undo it: auditdb import --undo %s',
            v_open.number);
    end if;
    update audit.era as e
      set imported = jsonb_set(e.imported, '{layouts}',
        e.imported -> 'layouts' || (open_import.imported -> 'layouts'))
      where e.number = v_open.number;
    return v_open.number;
  end if;
  insert into audit.era (number, log, server, kind, is_open, imported)
  select e.number + 1, e.log, (select s.system_identifier from pg_control_system() as s),
      'imported', true, open_import.imported || '{"new_rows": 0}'
    from audit.era as e
    where e.number = (select max(m.number) from audit.era as m)
    returning number into v_open.number;
  return v_open.number;
end;
$$;

revoke all on function audit.open_import(jsonb) from public;

comment on function audit.open_import(jsonb) is
  'Begins an import of rows with transaction ids of another server, or goes on with it; returns the '
  'number of its era.';

-- Before an import: the layouts that its rows name are here, whatever their numbers. A layout is
-- known by what it says. One of a table of this database serves as it is; others are added, under a
-- declaration that no table of this database has.
create or replace function audit.adopt_layouts(log uuid, layouts jsonb)
  returns table (theirs integer, ours integer, is_added boolean)
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_own constant boolean :=
    log = (select e.log from audit.era as e order by e.number desc limit 1);
  v_added integer[] := '{}';
  v_layout audit.layout;
  v_type text;
begin
  lock table audit.layout in share row exclusive mode;
  for v_layout in
    select r.* from jsonb_populate_recordset(null::audit.layout, layouts) as r order by r.id
  loop
    theirs := v_layout.id;
    -- What becomes the text of a type is nothing but the name of a type that records may keep.
    select c ->> 'kept_as' into v_type
      from jsonb_array_elements(v_layout.columns) as c
      where c ->> 'kept_as' <> 'pg_catalog.text[]'
        and not exists (
          select from pg_type as p
          where p.typnamespace = 'pg_catalog'::regnamespace and audit.is_kept(p.oid)
            and audit.builtin_name(p.oid) = c ->> 'kept_as')
      limit 1;
    if found then
      raise exception 'records of %: there is no type % here', v_layout.table_name, v_type
        using errcode = 'undefined_object';
    end if;
    -- The same number for the same table with every import.
    if not v_is_own and v_layout.tracked_id > 0 then
      v_layout.tracked_id :=
        -1 - (hashtextextended(format('%s/%s', log, v_layout.tracked_id), 0) & 1073741823)::integer;
    end if;
    select y.id into ours
      from audit.layout as y
      where y.table_name = v_layout.table_name
        and y.columns = v_layout.columns
        and y.secret = v_layout.secret
        and y.secret_numbers = v_layout.secret_numbers
        and y.numbers is not distinct from v_layout.numbers
        and (y.tracked_id = v_layout.tracked_id or y.tracked_id > 0)
      order by y.tracked_id = v_layout.tracked_id desc, y.id
      limit 1;
    is_added := not found;
    if is_added then
      ours := audit.add_layout(v_layout);
      v_added := v_added || v_layout.tracked_id;
    end if;
    return next;
  end loop;
  if v_added <> '{}' then
    perform audit.derive_layouts();
    perform audit.follow_layouts(f.id) from (select distinct unnest(v_added) as id) as f;
  end if;
end;
$$;

revoke all on function audit.adopt_layouts(uuid, jsonb) from public;

comment on function audit.adopt_layouts(uuid, jsonb) is
  'Which layout here stands for each layout of an import; those that were missing are added.';

-- Whoever takes rows out of the database leaves a row about it.
create or replace function audit.record_export(details jsonb)
  returns bigint
  language sql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
  select audit.write_log_event('log_exported', details ->> 'account_id', details)
$$;

revoke all on function audit.record_export(jsonb) from public;

comment on function audit.record_export(jsonb) is
  'Public. Writes the row log_exported: what was exported, as an object with range, rows, hash; '
  'returns its id.';

-- After a restore or replication: all that the log has now is past, whatever its transaction ids.
-- Rows that were replicated came in any order, so that no place of before tells which are new.
create or replace function audit.begin_era()
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '10s'
as $$
begin
  return audit.add_era(case when exists (select from audit.check_replication()) then 'replicated'
    else 'restored' end);
end;
$$;

revoke all on function audit.begin_era() from public;

comment on function audit.begin_era() is
  'Public. To be called once after the log was restored on another server, or where one was '
  'replicated to it: exports then count from here.';

-- When an import is undone: the layouts that came with it. Those of a declaration of this database
-- stay, for its tables may write in them by now.
create or replace function audit.forget_layouts(numbers jsonb)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_layout audit.layout;
  v_declarations integer[] := '{}';
begin
  if forget_layouts.numbers = '[]' then
    return;
  end if;
  lock table audit.layout in share row exclusive mode;
  for v_layout in
    delete from audit.layout as y
    where y.tracked_id < 0
      and y.id in (select n::integer from jsonb_array_elements_text(forget_layouts.numbers) as n)
    returning y.*
  loop
    execute format('drop function if exists audit.%I(text), audit.%I(text, boolean)',
      format('layout_%s_values', v_layout.id), format('layout_%s_text', v_layout.id));
    execute format('drop type if exists audit.%I', format('layout_%s', v_layout.id));
    v_declarations := v_declarations || v_layout.tracked_id;
  end loop;
  if v_declarations <> '{}' then
    perform audit.derive_layouts();
    perform audit.follow_layouts(d.id) from (select distinct unnest(v_declarations) as id) as d;
  end if;
end;
$$;

revoke all on function audit.forget_layouts(jsonb) from public;

comment on function audit.forget_layouts(jsonb) is
  'Removes layouts that came with an import, with their types and functions.';

-- What came after an import may rest on its rows: a later import left out those that were there, and
-- an export has taken them elsewhere, where they would be rows of no log.
create or replace function audit.validate_undo(era audit.era)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_later integer;
  v_exported timestamptz;
begin
  select e.number into v_later
    from audit.era as e
    where e.number > era.number and e.kind = 'imported'
    order by e.number desc
    limit 1;
  if found then
    raise exception 'import % came after import %', v_later, era.number
      using errcode = 'object_in_use',
        hint = format('Undo that one first: select audit.undo_import(%s);', v_later);
  end if;
  select l.occurred_at into v_exported
    from audit.log as l
    where l.action = 'log_exported' and l.era >= era.number
      -- So few partitions are read; the clock may have been set back a little.
      and l.occurred_at >= era.began_at - interval '1 day'
    order by l.occurred_at
    limit 1;
  if found then
    raise exception 'the log was exported at %, after import %', v_exported, era.number
      using errcode = 'object_in_use',
        hint = 'What was exported may have its rows, so they stay.';
  end if;
end;
$$;

revoke all on function audit.validate_undo(audit.era) from public;

comment on function audit.validate_undo(audit.era) is
  'Refuses to undo an import that something else may refer to.';

-- Takes back what an import brought. The log is append-only but for this: the rows of an import that
-- nothing else refers to, with a row that says so, under the lock of the owner.
create or replace function audit.undo_import(era integer)
  returns bigint
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set lock_timeout = '10s'
as $$
declare
  v_era audit.era;
  v_partition text;
  v_found bigint;
  v_rows bigint := 0;
begin
  begin
    lock table audit.era in share update exclusive mode;
  exception
    when lock_not_available then
      raise exception 'an import into this log is under way'
        using errcode = 'object_in_use', hint = 'Wait for it to end.';
  end;
  select * into v_era from audit.era as e
    where e.number = undo_import.era and e.kind = 'imported'
    for update;
  if not found then
    raise exception 'there is no import % that could be undone', undo_import.era
      using errcode = 'undefined_object',
        hint = 'Those that can: select number, imported from audit.era where kind = ''imported'';';
  end if;
  perform audit.validate_undo(v_era);

  -- What is undone and open is being undone: the guard lets its rows go.
  update audit.era as e set kind = 'undone', is_open = true where e.number = v_era.number;
  for v_partition in
    select l.partition
    from audit.partition_list() as l
    where l.lower_bound <= (v_era.imported ->> 'until')::timestamptz
      and l.upper_bound > (v_era.imported ->> 'since')::timestamptz
  loop
    execute format('delete from audit.%I where era = %s', v_partition, -v_era.number);
    get diagnostics v_found = row_count;
    v_rows := v_rows + v_found;
    -- Its summary tells of rows that are gone.
    if v_found > 0 then
      delete from audit.closed_partition as c where c.partition = v_partition;
    end if;
  end loop;
  if v_rows < (v_era.imported ->> 'new_rows')::bigint then
    raise exception 'of the % rows of import % only % are in the log', v_era.imported ->> 'new_rows',
      v_era.number, v_rows
      using errcode = 'object_in_use',
        hint = 'Attach the partitions that were detached since.';
  end if;
  perform audit.forget_layouts(v_era.imported -> 'layouts');

  if v_rows = 0 and v_era.is_open then
    delete from audit.era as e where e.number = v_era.number;
    return 0;
  end if;
  if not v_era.is_open then
    update audit.era as e set is_open = false where e.number = v_era.number;
  end if;
  perform audit.add_era('undo');
  perform audit.write_log_event('log_import_undone', (
      select l.account_id
      from audit.log as l
      where l.action = 'log_imported' and l.era >= v_era.number
        and l.changes #> '{import,new}' = to_jsonb(v_era.number)
        and l.occurred_at >= v_era.began_at - interval '1 day'
      limit 1),
    jsonb_build_object('import', v_era.number, 'rows', v_rows,
      'sha256', v_era.imported -> 'sha256'));
  return v_rows;
end;
$$;

revoke all on function audit.undo_import(integer) from public;

comment on function audit.undo_import(integer) is
  'Public. Takes the rows of an import out of the log, whole or broken off, while nothing else refers '
  'to them; returns how many.';

-- Nobody waits for ever, and without a word, for a lock that somebody else holds. What the caller
-- chose stays; he sets back what this returns.
create or replace function audit.bound_waits()
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_before text := current_setting('lock_timeout');
begin
  if v_before = '0' then
    perform set_config('lock_timeout', '10s', true);
  end if;
  return v_before;
end;
$$;

revoke all on function audit.bound_waits() from public;

comment on function audit.bound_waits() is
  'Lets this transaction wait for a lock for ten seconds, unless lock_timeout is set; returns what '
  'it was before.';

-- Who is in the way: those who write or change these tables, and where there are none, who reads.
create or replace function audit.holders_of(relations regclass[])
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with wanted as (
    select r.relid from unnest(holders_of.relations) as r (relid)
    union
    select t.relid
    from unnest(holders_of.relations) as r (relid)
    cross join lateral pg_partition_tree(r.relid) as t
  ), held as (
    select l.relation, l.pid, l.virtualtransaction, l.mode = 'AccessShareLock' as is_reading
    from pg_locks as l
    where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())
      and l.relation in (select w.relid from wanted as w)
  ), holding as (
    select distinct on (h.pid, h.virtualtransaction) h.*
    from held as h
    where not h.is_reading or not exists (select from held as w where not w.is_reading)
    order by h.pid, h.virtualtransaction, h.relation
  )
  select coalesce(string_agg(
      case when h.pid is null then format('prepared transaction %L of role %s', p.gid, p.owner)
        else concat_ws(', ', format('process %s of role %s', h.pid, coalesce(a.usename, '?')),
          'application ' || quote_literal(nullif(a.application_name, '')), a.state) end
      || coalesce(', since ' || to_char(coalesce(a.xact_start, p.prepared),
        'YYYY-MM-DD HH24:MI:SSOF'), '')
      || format(', holds %s', h.relation::regclass), '; ' order by h.pid),
    'who held it has let go of it since')
  from holding as h
  left join pg_stat_activity as a on a.pid = h.pid
  -- A prepared transaction is known by the lock on its own number.
  left join pg_locks as x
    on h.pid is null and x.pid is null and x.locktype = 'transactionid'
    and x.virtualtransaction = h.virtualtransaction
  left join pg_prepared_xacts as p on p.transaction = x.transactionid
$$;

revoke all on function audit.holders_of(regclass[]) from public;

comment on function audit.holders_of(regclass[]) is
  'The sessions that hold locks on tables and their partitions, each with its role, its application '
  'and since when.';

-- The error for a wait that was too long: PostgreSQL's own does not say for whom.
create or replace function audit.gave_up(relations regclass[])
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'gave up waiting for a lock: %', audit.holders_of(gave_up.relations)
    using errcode = '55P03',
      hint = 'Try again when that transaction has ended, or end it with pg_terminate_backend(). '
        'How long to wait is lock_timeout, ten seconds where it is 0.';
end;
$$;

revoke all on function audit.gave_up(regclass[]) from public;

comment on function audit.gave_up(regclass[]) is
  'Raises that a lock was not to be had, and who holds one on these tables.';

-- What cannot be tracked is refused, with the reason and a way out.
create or replace function audit.validate_trackable(target regclass)
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_class record;
  v_reason text;
  v_hint text;
begin
  select c.*, n.nspname,
      audit.key_of(c.oid) <> '{}' as has_key,
      exists (select from pg_inherits as h where h.inhparent = c.oid or h.inhrelid = c.oid)
        as has_inheritance,
      exists (select from pg_partition_tree(c.oid) as p join pg_class as f on f.oid = p.relid
              where f.relkind = 'f') as has_foreign_partition,
      (select format('select audit.untrack(%L);', audit.name_of(k.target))
       from pg_partition_tree(c.oid) as p join audit.tracked as k on k.target = p.relid
       where p.relid <> c.oid limit 1) as untrack_partition
    into v_class
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.oid = validate_trackable.target;

  if v_class.relkind is null then
    v_reason := 'there is no such table';
    v_hint := 'Name a table.';
  elsif v_class.nspname = 'audit' then
    v_reason := 'it belongs to the audit log itself';
    v_hint := 'Track the tables of your application.';
  elsif v_class.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then
    v_reason := 'it belongs to PostgreSQL';
    v_hint := 'Track the tables of your application.';
  elsif v_class.relkind in ('v', 'm') then
    v_reason := 'it is a view';
    v_hint := 'Track the tables that it reads: a write through the view fires their triggers.';
  elsif v_class.relkind = 'f' then
    v_reason := 'it is a foreign table, which others write without firing triggers here';
    v_hint := 'Track the table on the server that it lives on.';
  elsif v_class.relkind not in ('r', 'p') then
    v_reason := 'it is not a table';
    v_hint := 'Name a table.';
  elsif v_class.relpersistence = 't' then
    v_reason := 'it is a temporary table, gone with its session';
    v_hint := 'Track a permanent table.';
  elsif v_class.relispartition then
    v_reason := 'it is a partition';
    v_hint := format('Track the table it is a partition of: %s.',
      (select audit.name_of(root) from pg_partition_root(validate_trackable.target) as root));
  elsif v_class.relkind = 'r' and v_class.has_inheritance then
    v_reason := 'it inherits or is inherited from, so one trigger does not see all its rows';
    v_hint := 'Use declarative partitioning, or separate tables.'
      || case when exists (select from audit.tracked as k where k.target = validate_trackable.target)
        then format(' Tracking ends with: select audit.untrack(%L);',
          audit.name_of(validate_trackable.target)) else '' end;
  elsif v_class.has_foreign_partition then
    v_reason := 'one of its partitions is a foreign table';
    v_hint := 'Detach the foreign partition, or track the table on the server that it lives on.';
  elsif v_class.untrack_partition is not null then
    v_reason := 'one of its partitions is tracked by itself';
    v_hint := format('First: %s', v_class.untrack_partition);
  elsif not v_class.has_key then
    v_reason := 'it has no primary key, so its rows have no identity';
    v_hint := format('alter table %s add primary key (...);',
      audit.name_of(validate_trackable.target));
  else
    return;
  end if;
  raise exception 'cannot track %: %', validate_trackable.target, v_reason
    using errcode = 'UA001', hint = v_hint;
end;
$$;

revoke all on function audit.validate_trackable(regclass) from public;

comment on function audit.validate_trackable(regclass) is
  'Raises an error with the reason if a relation cannot be tracked.';

-- The declared actions, looked over: well-formed, and no column nobody can own.
create or replace function audit.problem_of_rules(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with rule as (
    select r.rule, r.n,
      case jsonb_typeof(r.rule -> 'on') when 'array' then r.rule -> 'on'
        else jsonb_build_array(r.rule -> 'on') end as events
    from jsonb_array_elements(t.actions) with ordinality as r (rule, n)
  ), problem as (
    select r.n, case
      when jsonb_typeof(r.rule) <> 'object' then 'an action is a JSON object'
      when coalesce(r.rule ->> 'action', '') = '' then 'an action needs a name'
      when length(r.rule ->> 'action') > 255
        then format('action %s...: its name is longer than 255 characters',
          left(r.rule ->> 'action', 40))
      when r.rule ->> 'action' = t.item_type || '_baseline'
        then format('action %s: this name is that of what audit.baseline() writes',
          r.rule ->> 'action')
      when not r.rule ? 'on' or r.events = '[]'
        or exists (select from jsonb_array_elements_text(r.events) as e
                   where e.value is null or e.value not in ('insert', 'update', 'delete'))
        then format('action %s: "on" is insert, update, delete or a list of them',
          r.rule ->> 'action')
      when exists (select from jsonb_object_keys(r.rule) as k
                   where k not in ('action', 'on', 'columns', 'when', 'grouped', 'label',
                                   'description'))
        then format('action %s: unknown key in %s', r.rule ->> 'action', r.rule)
      when r.rule ? 'columns' and (jsonb_typeof(r.rule -> 'columns') <> 'array'
          or r.rule -> 'columns' = '[]'
          or exists (select from jsonb_array_elements_text(r.rule -> 'columns') as c
                     where c.value is null
                       or c.value not in (select a.name from audit.columns_of(t.target) as a
                                        where a.name <> all (t.operational))))
        then format('action %s: "columns" must list audited columns of the table',
          r.rule ->> 'action')
      when jsonb_typeof(r.rule -> 'grouped') <> 'boolean'
        then format('action %s: "grouped" is true or false', r.rule ->> 'action')
      when r.events @> '["update"]' and (r.rule -> 'grouped')::boolean
        and (select count(*) from rule as o where o.events @> '["update"]') > 1
        then format('action %s: a grouped action must be the only one on update',
          r.rule ->> 'action')
    end as text
    from rule as r
  )
  select p.text from problem as p where p.text is not null order by p.n limit 1
$$;

revoke all on function audit.problem_of_rules(audit.tracked) from public;

comment on function audit.problem_of_rules(audit.tracked) is
  'What is wrong with the actions of a declaration; null if nothing.';

-- What the expressions of a declaration name and is not there: a column, or a function of the log's
-- owner that they were bound to.
create or replace function audit.problem_of_names(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (
    select audit.name_types(t) as types
  ), expression as (
    select e.text
    from unnest(array[t.item_id, t.item_label, t.account, t.parent_id, t.part_name]
      || array(select r ->> 'when' from jsonb_array_elements(t.actions) as r)) as e (text)
    where e.text is not null
  )
  select coalesce(
    (select format('column %s does not exist', c ->> 'name')
     from jsonb_array_elements(t.columns) as c
     cross join known as k
     where c ->> 'alias' is null and not k.types ? (c ->> 'name')
       and exists (select from expression as e cross join lateral audit.names_in(e.text) as n (name)
                   where n.name in (c ->> 'name', 'old.' || (c ->> 'name'), 'new.' || (c ->> 'name')))
     limit 1),
    (select format('function audit.%I is gone', b.name)
     from audit.bound_functions(t) as b
     where t.compiled -> 'functions' ? b.name and to_regproc(format('audit.%I', b.name)) is null
     limit 1))
$$;

revoke all on function audit.problem_of_names(audit.tracked) from public;

comment on function audit.problem_of_names(audit.tracked) is
  'What an expression of a declaration needs and is gone; null where nothing is.';

-- What a parsed expression consists of. The text of a parse tree has each object by its oid, and no
-- string of the expression can look like a node of it: there, blanks and braces have a backslash.
create or replace function audit.validate_tree(t audit.tracked, slot text, tree text)
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_problem text;
  v_hint text := format('Use functions of PostgreSQL that are not volatile, or such of the owner of '
    'the log (%s).', quote_ident(audit.role_for('owner')));
begin
  with object as (
    select distinct m.found[2] as kind, m.found[1] || m.found[2] = 'vartype' as is_column,
      n.oid::oid as oid
    from regexp_matches(tree,
      ' [:]([a-z]*)(func|fno|op|eq|sort|type)(id|oid|no|nos|op|func)? \(?(o )?([0-9 ]+)', 'g')
      as m (found)
    cross join lateral regexp_split_to_table(trim(m.found[5]), ' +') as n (oid)
    where n.oid <> '0'
  ), used as (
    select p.oid, p.proowner as owner, p.provolatile = 'v' as is_volatile,
      format('function %s', p.oid::regprocedure) as name,
      p.proname ~ '^(table|query|cursor|schema|database)_to_xml' as reads_tables
    from object as o join pg_proc as p on p.oid = o.oid and o.kind in ('func', 'fno')
    union all
    select p.oid, case when audit.is_trusted(p.oprowner) then f.proowner else p.oprowner end,
      f.provolatile = 'v', format('operator %s', p.oid::regoperator), false
    from object as o
    join pg_operator as p on p.oid = o.oid and o.kind in ('op', 'eq', 'sort')
    join pg_proc as f on f.oid = p.oprcode
    union all
    select y.oid, y.typowner, false, format('type %s', format_type(y.oid, null)), false
    from object as o join pg_type as y on y.oid = o.oid and o.kind = 'type'
    -- Queries for accounts see columns of tables as they are.
    where slot <> 'accounts'
      or not exists (select from object as c where c.is_column and c.oid = y.oid)
  )
  select case
      when u.oid >= 16384 and not audit.is_trusted(u.owner) then
        format('it uses %s, which belongs to %s', u.name, quote_ident(pg_get_userbyid(u.owner)))
      when u.is_volatile then format('it uses %s, which is volatile', u.name)
      when u.reads_tables then format('it uses %s, which reads tables', u.name)
      when not has_function_privilege(audit.role_for('audit_writer'), u.oid, 'execute')
        then format('it uses %s, which %s may not execute', u.name, audit.role_for('audit_writer'))
      end
    into v_problem
    from used as u
    where (u.oid >= 16384 and not audit.is_trusted(u.owner)) or u.is_volatile or u.reads_tables
      or (u.name ~ '^function' and u.oid >= 16384
        and not has_function_privilege(audit.role_for('audit_writer'), u.oid, 'execute'))
    limit 1;
  if v_problem is null and slot <> 'accounts' then
    select case m.node[1]
        when 'SUBLINK' then 'it has a subquery, which accounts alone may have'
        when 'AGGREF' then 'it has an aggregate'
        when 'WINDOWFUNC' then 'it has a window function'
        else format('it has what expressions may not have (%s)', lower(m.node[1])) end
      into v_problem
      from regexp_matches(tree, '(?<!\\)\{([A-Z_]+)', 'g') as m (node)
      where m.node[1] <> all (array['ARRAYCOERCEEXPR', 'ARRAYEXPR', 'BOOLEANTEST', 'BOOLEXPR',
        'CASEEXPR', 'CASETESTEXPR', 'CASEWHEN', 'COALESCEEXPR', 'COERCEVIAIO', 'COLLATEEXPR',
        'CONST', 'DISTINCTEXPR', 'FROMEXPR', 'FUNCEXPR', 'JSONBEHAVIOR', 'JSONCONSTRUCTOREXPR',
        'JSONEXPR', 'JSONFORMAT', 'JSONISPREDICATE', 'JSONRETURNING', 'JSONVALUEEXPR', 'MINMAXEXPR',
        'NAMEDARGEXPR', 'NULLIFEXPR', 'NULLTEST', 'OPEXPR', 'PARAM', 'QUERY', 'RELABELTYPE',
        'ROWCOMPAREEXPR', 'ROWEXPR', 'SCALARARRAYOPEXPR', 'SQLVALUEFUNCTION', 'SUBSCRIPTINGREF',
        'TARGETENTRY'])
      order by m.node[1] = 'SUBLINK' desc
      limit 1;
    if v_problem is null and tree ~ ' [:]funcretset true ' then
      v_problem := 'it has a function that returns a set';
    end if;
  end if;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %: %', t.target, slot, v_problem
      using errcode = 'UA005', hint = v_hint;
  end if;
end;
$$;

revoke all on function audit.validate_tree(audit.tracked, text, text) from public;

comment on function audit.validate_tree(audit.tracked, text, text) is
  'Raises an error where a parsed expression uses what the log must not run.';

-- One expression of a declaration, tried without reading or planning anything: as the body of a
-- function that is only parsed. What it came to be is then looked through: functions of PostgreSQL
-- or of the log's owner, nothing volatile, and tables in the query for accounts alone.
create or replace function audit.validate_expression(
  t audit.tracked, slot text, expression text, event text,
  out columns jsonb, out is_plain boolean
)
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set check_function_bodies = on
as $$
declare
  v_hint constant text := 'Expressions name columns of the table, or alias.column of a lookup; '
    'conditions name old.column and new.column.';
  v_problem text;
  v_types jsonb := audit.name_types(t);
  v_virtual text[] := array(select a.attname from pg_attribute as a
    where a.attrelid = t.target and a.attgenerated = 'v' and not a.attisdropped);
  v_parameters text[];
  v_text text;
  v_tree text;
begin
  select case
      when regexp_replace(n.name, '^(old|new)\.', '') = any (v_virtual)
        then format('column %s is generated and virtual, so that triggers do not see its value: '
          'name what it is made of', n.name)
      when v_types ? n.name
        then format('column %s is ambiguous: it is old.%1$s or new.%1$s', n.name)
      else format('column %s does not exist', n.name) end
    into v_problem
    from audit.names_in(expression) as n (name)
    where n.name = any (v_virtual) and slot <> 'accounts'
      or n.name ~ '^(old|new)\.' and substr(n.name, 5) = any (v_virtual)
      or slot = 'when' and event = 'update' and v_types ? n.name and strpos(n.name, '.') = 0
      or not v_types ? n.name and split_part(n.name, '.', 2) <> '' and (
        t.lookups ? split_part(n.name, '.', 1) and slot not in ('when', 'accounts')
        or slot = 'when' and n.name ~ '^(old|new)\.')
    limit 1;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %: %', t.target, slot, v_problem
      using errcode = 'UA005', hint = v_hint;
  end if;
  select o.types, o.body into v_parameters, v_text
    from audit.over_parameters(t, expression, case slot
      when 'accounts' then '^new\.'
      when 'when' then case event when 'insert' then '^(new\.|[^.]+$)'
        when 'delete' then '^(old\.|[^.]+$)' else '^(old|new)\.' end
      else '^(?!(old|new)\.)' end) as o;
  begin
    -- Bare and in brackets, so that it is whole.
    execute format(
      'create function audit.expression(%s) returns void language sql begin atomic %s; %s; end',
      array_to_string(v_parameters, ', '),
      case slot when 'accounts' then v_text else 'select ' || v_text end,
      format(case slot when 'when' then 'select ((%s) is true)'
        else 'select (%s)::pg_catalog.text' end, v_text));
  exception
    when syntax_error_or_access_rule_violation or data_exception then
      if sqlstate = '42501' then
        raise;
      end if;
      raise exception 'invalid declaration of %: %: %', t.target, slot, sqlerrm
        using errcode = 'UA005', hint = v_hint;
  end;
  select f.prosqlbody::text,
      (select jsonb_object_agg(d.id, d.names) from (
        select d.refobjid as id, array_agg(a.attname) as names
        from pg_depend as d
        left join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
          and a.attnum > 0
        where d.classid = 'pg_proc'::regclass and d.objid = f.oid
          and d.refclassid = 'pg_class'::regclass
        group by d.refobjid) as d),
      not exists (
        select from regexp_matches(f.prosqlbody::text, ' [:]vartype ([0-9]+)', 'g') as m
        where not audit.is_builtin(m[1]::oid))
    into v_tree, columns, is_plain
    from pg_proc as f
    where f.pronamespace = 'audit'::regnamespace and f.proname = 'expression';
  drop function audit.expression;
  columns := coalesce(columns, '{}');
  perform audit.validate_tree(t, slot, v_tree);
end;
$$;

revoke all on function audit.validate_expression(audit.tracked, text, text, text) from public;

comment on function audit.validate_expression(audit.tracked, text, text, text) is
  'Raises an error where an expression of a declaration is not allowed; returns the columns that it '
  'reads, by table, and whether all are of types of PostgreSQL''s own.';

-- The expressions of a declaration are looked over one by one.
create or replace function audit.validate_expressions(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_slot text;
  v_expression text;
  v_event text;
begin
  for v_slot, v_expression, v_event in
    select e.slot, e.expression, v.event
    from audit.expressions_of(t) as e
    left join unnest(array['insert', 'update', 'delete']) as v (event)
      on e.events @> to_jsonb(v.event)
    where e.slot <> 'when' or v.event is not null
  loop
    perform audit.validate_expression(t, v_slot, v_expression, v_event);
  end loop;
end;
$$;

revoke all on function audit.validate_expressions(audit.tracked) from public;

comment on function audit.validate_expressions(audit.tracked) is
  'Raises an error where an expression of a declaration does not fit its table.';

-- What expressions were bound to can change afterwards: a function can go to another owner, become
-- volatile, lose a right, or be dropped with all that depends on it. The bound functions are looked
-- through again as they are; nothing is created, and nothing of theirs is run.
create or replace function audit.validate_bound(t audit.tracked)
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_slot text;
  v_name text;
  v_tree text;
begin
  if not exists (select from jsonb_object_keys(t.compiled -> 'functions') as k
                 where k ~ '_x[0-9a-f]{8}$') then
    return;
  end if;
  for v_slot, v_name, v_tree in
    select e.slot, f.name, p.prosqlbody::text
    from audit.expressions_of(t) as e
    cross join lateral audit.bound_function(t, e.expression, e.result) as f
    left join pg_proc as p on p.oid = to_regproc(format('audit.%I', f.name))
    where audit.is_bound(e.expression) and t.compiled -> 'functions' ? f.name
  loop
    if v_tree is null then
      raise exception 'invalid declaration of %: %: what it uses was dropped, and with it %',
        t.target, v_slot, format('audit.%I', v_name)
        using errcode = 'UA005';
    end if;
    perform audit.validate_tree(t, v_slot, v_tree);
  end loop;
end;
$$;

revoke all on function audit.validate_bound(audit.tracked) from public;

comment on function audit.validate_bound(audit.tracked) is
  'Raises an error where something that a declaration was bound to is gone, or no longer allowed.';

-- Before a table is compiled: who reads what for it, and whether they may.
create or replace function audit.settle_readers(t audit.tracked)
  returns audit.tracked
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_columns jsonb := '{}';
  v_is_plain boolean;
begin
  t.account_tables := '{}';
  t.account_reader := null;
  if t.accounts is not null then
    select e.columns, e.is_plain into v_columns, v_is_plain
      from audit.validate_expression(t, 'accounts', t.accounts, null) as e;
    select coalesce(array_agg(e.key::oid::regclass order by e.key), '{}'),
        case when not v_is_plain
            or bool_or(audit.reader_of(e.key::oid::regclass, '{}') = 'audit_lookup')
          then 'audit_lookup'
          when bool_or(audit.reader_of(e.key::oid::regclass, '{}') = 'owner') then 'owner'
          else 'inline' end
      into t.account_tables, t.account_reader
      from jsonb_each(v_columns) as e;
  end if;
  perform audit.grant_reading(t, r.relation, r.columns, r.reader)
    from (
      select l.target, l.columns || l.key_column, l.reader from audit.lookups_of(t) as l
      union all
      select c.target, c.parent_columns, c.reader from audit.cascades_of(t) as c
      union all
      select e.key::oid::regclass, array(
          select n.value from jsonb_array_elements_text(e.value) as n where n.value is not null),
        t.account_reader
      from jsonb_each(v_columns) as e
    ) as r (relation, columns, reader);
  return t;
end;
$$;

revoke all on function audit.settle_readers(audit.tracked) from public;

comment on function audit.settle_readers(audit.tracked) is
  'A declaration with who reads the tables of its accounts; the roles get their rights.';

-- A declaration is looked over before anything is compiled from it.
create or replace function audit.validate_declaration(
  t audit.tracked, may_create boolean default true
)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem text;
  v_hint text;
begin
  if t.accounts is not null and t.account is not null then
    raise exception 'invalid declaration of %: give account or accounts, not both', t.target
      using errcode = 'UA005';
  end if;
  select f.problem, f.hint into v_problem, v_hint
    from (values
      (t.parent_type is null and t.parent_id is not null,
        'there is a parent_id and no parent_type',
        'parent_type says of what kind the item is that the id is of: give both or neither.'),
      (t.parent_type is not null and t.parent_id is null,
        'there is a parent_type and no parent_id',
        'parent_id is an expression for the id of an item of that type: give both or neither.'),
      (t.part is null and t.part_name is not null,
        'there is a part_name and no part',
        'part says what the parts are called in changes, such as features: give it, or leave both '
          'out.'),
      (t.on_truncate not in ('log', 'refuse'),
        format('on_truncate is log or refuse, not %s', t.on_truncate),
        'log leaves a row about a TRUNCATE in the log, refuse makes it an error.'),
      (jsonb_typeof(t.actions) <> 'array',
        format('actions is an array, not of type %s', jsonb_typeof(t.actions)),
        'For example: [{"action": "invoice_paid", "on": "update", "columns": ["paid_at"]}]'),
      -- What every entry of an index of the log has, beside an id.
      (length(t.item_type) > 100, 'the item_type is longer than 100 characters', ''),
      (length(t.parent_type) > 100, 'the parent_type is longer than 100 characters', '')
    ) as f (is_so, problem, hint)
    where f.is_so
    limit 1;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %', t.target, v_problem
      using errcode = 'UA005', hint = v_hint;
  end if;
  if jsonb_typeof(t.lookups) <> 'object' then
    raise exception 'invalid declaration of %: lookups is an object {"alias": "column"}', t.target
      using errcode = 'UA005';
  end if;
  select coalesce(
      (select format('there is no column %s to be operational or secret', quote_ident(c))
       from unnest(t.operational || t.secret) as c
       where not exists (select from pg_attribute as a
                         where a.attrelid = t.target and a.attname = c and a.attnum > 0
                           and not a.attisdropped)
       limit 1),
      (select format('the lookup %s has no foreign key to follow (%s)', e.key, e.value)
       from jsonb_each_text(t.lookups) as e
       where e.key not in (select l.alias from audit.lookups_of(t) as l) limit 1),
      (select format('the lookup %s has a name that triggers use themselves', e.key)
       from jsonb_each_text(t.lookups) as e
       where e.key in ('old', 'new') or starts_with(e.key, '_audit') limit 1),
      audit.problem_of_rules(t),
      -- Where nothing may be created to try an expression with.
      case when not may_create then audit.problem_of_names(t) end)
    into v_problem;
  if v_problem is not null then
    if v_problem ~ 'has no foreign key to follow' then
      v_hint := format('alter table %s add foreign key (%s) references ...;',
        audit.name_of(t.target), substring(v_problem from '\(([^()]*)\)$'));
    end if;
    raise exception 'invalid declaration of %: %', t.target, v_problem
      using errcode = 'UA005', hint = coalesce(v_hint, '');
  end if;
  if may_create then
    perform audit.validate_expressions(t);
  end if;
end;
$$;

revoke all on function audit.validate_declaration(audit.tracked, boolean) from public;

comment on function audit.validate_declaration(audit.tracked, boolean) is
  'Raises an error that says what is wrong with a declaration.';

-- The columns that a declaration may name, with their numbers: so a renamed one is known again.
create or replace function audit.columns_now(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object('table', c.place, 'alias', c.alias,
    'relation', c.relation::text, 'number', c.number, 'name', c.name, 'type', c.type,
    'is_key', c.is_key, 'operator', c.operator, 'source', c.source) order by c.alias nulls first, c.number), '[]')
  from (
    select 1 as place, a.attrelid as relation, null as alias, a.attnum as number, a.attname as name,
      format_type(a.atttypid, a.atttypmod) as type, a.attnum = any (k.numbers) as is_key,
      null as operator, null as source
    from pg_attribute as a
    cross join audit.key_of(t.target) as k (numbers)
    where a.attrelid = t.target and a.attnum > 0 and not a.attisdropped
    union all
    select array_position(t.tables, l.target), a.attrelid, l.alias, a.attnum, a.attname,
      format_type(a.atttypid, a.atttypmod), false,
      case when a.attname = l.key_column then l.key_operator end,
      (select s.attnum from pg_attribute as s
       where s.attname = l.source_column and s.attrelid = coalesce(
         (select o.target from audit.lookups_of(t) as o where o.alias = l.source), t.target))
    from audit.lookups_of(t) as l
    join pg_attribute as a
      on a.attrelid = l.target and a.attname = any (l.columns || l.key_column)
  ) as c
$$;

revoke all on function audit.columns_now(audit.tracked) from public;

comment on function audit.columns_now(audit.tracked) is
  'The columns of a tracked table and of its lookups as they are now.';

-- A list of columns after DDL.
create or replace function audit.follow_names(names text[], renamed jsonb, dropped text[])
  returns text[]
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(array_agg(coalesce(renamed ->> u.name, u.name) order by u.n), '{}')
  from unnest(names) with ordinality as u (name, n)
  where u.name <> all (dropped)
$$;

revoke all on function audit.follow_names(text[], jsonb, text[]) from public;

comment on function audit.follow_names(text[], jsonb, text[]) is
  'A list of column names with renamed ones renamed and dropped ones left out.';

-- The actions after DDL: an action whose columns or condition are gone goes too, and what it owned
-- falls to the next.
create or replace function audit.follow_rules(
  actions jsonb, renamed jsonb, names jsonb, dropped text[]
)
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(r.rule
    || case when r.rule ? 'columns' then jsonb_build_object('columns', r.columns) else '{}' end
    || case when r.rule ? 'when' then jsonb_build_object('when',
        audit.rewrite_expression(r.rule ->> 'when', names)) else '{}' end
    order by r.n), '[]')
  from (
    select u.rule, u.n, audit.follow_names(
        array(select c.value from jsonb_array_elements_text(u.rule -> 'columns') as c),
        renamed, dropped) as columns
    from jsonb_array_elements(actions) with ordinality as u (rule, n)
  ) as r
  where (not r.rule ? 'columns' or cardinality(r.columns) > 0)
    and not exists (
      select from audit.names_in(coalesce(r.rule ->> 'when', '')) as w
      cross join unnest(dropped) as d (name)
      where w in ('old.' || d.name, 'new.' || d.name))
$$;

revoke all on function audit.follow_rules(jsonb, jsonb, jsonb, text[]) from public;

comment on function audit.follow_rules(jsonb, jsonb, jsonb, text[]) is
  'The actions of a declaration after columns were renamed or dropped.';

-- After DDL the declaration follows: renamed columns get their new names, dropped ones leave.
create or replace function audit.follow_columns(t audit.tracked)
  returns audit.tracked
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_renamed jsonb;
  v_names jsonb;
  v_dropped text[];
  v_gone text[];
begin
  with now as (
    select c ->> 'alias' as alias, c ->> 'name' as name, a.attname as new_name
    from jsonb_array_elements(t.columns) as c
    left join pg_attribute as a
      on a.attrelid = t.tables[(c ->> 'table')::int] and a.attnum > 0 and not a.attisdropped
      -- A restored table is another one, with columns numbered anew: there the names hold.
      and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
        else a.attname = c ->> 'name' end
  )
  select
      coalesce(jsonb_object_agg(n.name, n.new_name)
        filter (where n.alias is null and n.new_name <> n.name), '{}'),
      coalesce(jsonb_object_agg(concat_ws('.', n.alias, n.name),
        concat_ws('.', quote_ident(n.alias), quote_ident(n.new_name)))
        filter (where n.new_name <> n.name), '{}'),
      coalesce(array_agg(n.name) filter (where n.alias is null and n.new_name is null), '{}')
    into v_renamed, v_names, v_dropped
    from now as n;

  select v_names
      || coalesce(jsonb_object_agg('old.' || e.key, 'old.' || quote_ident(e.value)), '{}')
      || coalesce(jsonb_object_agg('new.' || e.key, 'new.' || quote_ident(e.value)), '{}')
    into v_names from jsonb_each_text(v_renamed) as e;
  t.item_id := audit.rewrite_expression(t.item_id, v_names);
  t.item_label := audit.rewrite_expression(t.item_label, v_names);
  t.account := audit.rewrite_expression(t.account, v_names);
  t.accounts := audit.rewrite_expression(t.accounts, v_names);
  t.parent_id := audit.rewrite_expression(t.parent_id, v_names);
  t.part_name := audit.rewrite_expression(t.part_name, v_names);
  t.operational := audit.follow_names(t.operational, v_renamed, v_dropped);
  t.secret := audit.follow_names(t.secret, v_renamed, v_dropped);
  t.actions := audit.follow_rules(t.actions, v_renamed, v_names, v_dropped);
  -- A lookup goes with its column, with the table that it leads to, and with the lookup before it.
  with recursive gone (alias) as (
    select e.key
    from jsonb_each_text(t.lookups) as e
    where e.value = any (v_dropped) or exists (
      select from jsonb_array_elements(t.columns) as c
      where c ->> 'alias' = e.key
        and not exists (select from pg_class as r where r.oid = t.tables[(c ->> 'table')::int]))
    union
    select e.key from gone as g
    join jsonb_each_text(t.lookups) as e on starts_with(e.value, g.alias || '.')
  )
  select coalesce(array_agg(g.alias), '{}') into v_gone from gone as g;
  select coalesce(jsonb_object_agg(e.key, coalesce(v_renamed ->> e.value, e.value)), '{}')
    into t.lookups from jsonb_each_text(t.lookups) as e where e.key <> all (v_gone);
  if t.item_label is not null
    and exists (
      select from audit.names_in(t.item_label) as n
      where n = any (v_dropped) or split_part(n, '.', 1) = any (v_gone) or n = any (
        select concat_ws('.', c ->> 'alias', c ->> 'name')
        from jsonb_array_elements(t.columns) as c
        where c ->> 'alias' is not null and not exists (
          select from pg_attribute as a
          where a.attrelid = t.tables[(c ->> 'table')::int] and a.attnum > 0
            and not a.attisdropped
            and case when a.attrelid::text = c ->> 'relation'
              then a.attnum = (c ->> 'number')::int else a.attname = c ->> 'name' end)))
  then
    t.item_label := null;
  end if;
  return t;
end;
$$;

revoke all on function audit.follow_columns(audit.tracked) from public;

comment on function audit.follow_columns(audit.tracked) is
  'The declaration with the names that the columns have now.';

-- Whether DDL left a tracked table different from what was compiled for it.
create or replace function audit.is_stale(t audit.tracked, touched oid[])
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set jit = off
as $$
  select audit.name_of(t.target) is null
    or audit.name_of(t.target) <> t.table_name
    or not audit.is_installed(t)
    or (t.tables::oid[] && touched and t.inputs <> audit.inputs_of(t))
$$;

revoke all on function audit.is_stale(audit.tracked, oid[]) from public;

comment on function audit.is_stale(audit.tracked, oid[]) is
  'Whether a tracked table, one of those touched, no longer fits what was compiled for it.';

-- What an SQL text says, without what it only mentions: comments and strings go, and names that are
-- written with escapes are written without.
create or replace function audit.without_strings(statement text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_text text := regexp_replace(statement,
    '((?:\mu&)?"(?:[^"]|"")*"(?:\s*\muescape\s*''[^'']'')?)'
    '|\me''(?:[^''\\]|\\.|'''')*''|''(?:[^'']|'''')*'''
    '|--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/', '\1 ', 'gi');
  v_found text[];
  v_name text;
begin
  -- Other encodings lack some of these characters. There PostgreSQL's own refusal is left.
  if v_text !~* '\mu&"' or getdatabaseencoding() <> 'UTF8' then
    return v_text;
  end if;
  for v_found in
    select m.found
    from regexp_matches(v_text,
      '(\mu&"((?:[^"]|"")*)"(?:\s*\muescape\s*''([^''])'')?)', 'gi') as m (found)
  loop
    v_name := replace(v_found[2], '""', '"');
    if v_found[3] <> '\' then
      v_name := replace(replace(v_name, '\', '\\'), v_found[3], '\');
    end if;
    -- unistr() refuses what is no character.
    if v_name ~* ('^(?:[^\\]|\\\\|\\(?!0000|d[89a-f])[0-9a-f]{4}'
      '|\\\+(?!000000|00d[89a-f])(?:[0][0-9a-f]|10)[0-9a-f]{4})*$')
    then
      v_text := replace(v_text, v_found[1],
        format('"%s"', replace(unistr(v_name), '"', '""')));
    end if;
  end loop;
  return v_text;
end;
$$;

revoke all on function audit.without_strings(text) from public;

comment on function audit.without_strings(text) is
  'An SQL text without comments and strings, and with its names as they are.';

-- Before an ALTER TABLE nothing tells its target but its text. Comments and strings are no part of
-- it; and whoever may not alter a table names it in vain, whatever he writes. What this does not see,
-- PostgreSQL itself refuses.
create or replace function audit.tables_altered(statement text)
  returns setof regclass
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with named as materialized (
    select m.n, lower(m.match[1]) as kind, p.parts[cardinality(p.parts)]::name as name,
      p.parts[cardinality(p.parts) - 1]::name as schema
    from regexp_matches(
      audit.without_strings(statement),
      '\malter\s+(table|type)\s+(?:\mif\s+exists\s+)?(?:\monly\s+)?'
      '((?:"(?:[^"]|"")+"|(?![\d$])[\w$\u0080-\uffff]+)'
      '(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?![\d$])[\w$\u0080-\uffff]+))*)', 'gi')
      with ordinality as m (match, n)
    cross join lateral parse_ident(m.match[2]) as p (parts)
  )
  select f.target
  from (
    select a.n, k.target, c.relowner as owner
    from named as a
    join pg_class as c on c.relname = a.name
    join pg_namespace as s on s.oid = c.relnamespace and s.nspname = coalesce(a.schema, s.nspname)
    join audit.tracked as k on k.target = c.oid
    where a.kind = 'table'
    union all
    -- What is altered of a type is altered of the tables that are made of it.
    select a.n, k.target, c.relowner
    from named as a
    join pg_type as y on y.typname = a.name
    join pg_namespace as s on s.oid = y.typnamespace and s.nspname = coalesce(a.schema, s.nspname)
    join pg_class as c on c.reloftype = y.oid
    join audit.tracked as k on k.target = c.oid
    where a.kind = 'type'
  ) as f
  where pg_has_role(session_user, f.owner, 'usage')
  group by f.target
  order by min(f.n)
$$;

revoke all on function audit.tables_altered(text) from public;

comment on function audit.tables_altered(text) is
  'The tracked tables that a text alters and that the role of the session may alter, in order.';

-- What a function executes is not in current_query(), but in the context of the trigger: the
-- statement itself, or the name of the function in SQL whose body it is in.
create or replace function audit.statement_of(stack text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(case
    when starts_with(f.rest, 'SQL statement "')
    then split_part(substr(f.rest, 16), E'"\nPL/pgSQL function ', 1)
    when starts_with(f.rest, 'SQL function "')
    then (
      select string_agg(p.prosrc, ';')
      from pg_proc as p
      join pg_language as l on l.oid = p.prolang and l.lanname = 'sql'
      where p.proname = substring(f.rest from '^SQL function "([^\n]*)" statement \d+'))
    -- The server may speak another language.
    else concat_ws(E'\n', f.rest, current_query()) end, '')
  from (select substr(stack, strpos(stack || E'\n', E'\n') + 1) as rest) as f
$$;

revoke all on function audit.statement_of(text) from public;

comment on function audit.statement_of(text) is
  'The text of the statement that an event trigger is called for, by the context of that trigger.';

-- DDL that renames or changes a type or a collation, alone or with its schema or extension, is a
-- change of the columns that have it; and of the tables that are made of it.
create or replace function audit.touched_with(class oid, object oid)
  returns setof oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with used (class, object) as materialized (
    select 'pg_collation'::regclass, c.oid
    from pg_collation as c
    where class = 'pg_collation'::regclass and c.oid = touched_with.object
      or class = 'pg_namespace'::regclass and c.collnamespace = touched_with.object
    union all
    select 'pg_type'::regclass, unnest(array[y.oid, y.typarray])
    from pg_type as y
    where class = 'pg_type'::regclass and y.oid = touched_with.object
      or class = 'pg_class'::regclass
        and y.oid = (select c.reltype from pg_class as c where c.oid = touched_with.object)
      or class = 'pg_namespace'::regclass and y.typnamespace = touched_with.object
    union all
    select d.classid, unnest(array[d.objid, y.typarray])
    from pg_depend as d
    left join pg_type as y on d.classid = 'pg_type'::regclass and y.oid = d.objid
    where class = 'pg_extension'::regclass and d.refclassid = class
      and d.refobjid = touched_with.object and d.deptype = 'e'
      and d.classid in ('pg_type'::regclass, 'pg_collation'::regclass)
  )
  select d.objid
  from used as u
  join pg_depend as d on d.refclassid = u.class and d.refobjid = u.object
  where d.classid = 'pg_class'::regclass
$$;

revoke all on function audit.touched_with(oid, oid) from public;

comment on function audit.touched_with(oid, oid) is
  'The tables with a column of a type or a collation that a change of this object changes.';

-- The rows of a tracked table that becomes a partition or a child of another are written through
-- that one from then on, and those of a child through the tracked one, past the triggers of either.
create or replace function audit.refuse_inheritance(touched oid[])
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_target regclass;
  v_child regclass;
  v_parent regclass;
  v_is_partition boolean;
begin
  select k.target, i.inhrelid::regclass, i.inhparent::regclass, c.relispartition
    into v_target, v_child, v_parent, v_is_partition
    from (
      select i.inhrelid, i.inhparent from pg_inherits as i where i.inhrelid = any (touched)
      union
      select i.inhrelid, i.inhparent from pg_inherits as i where i.inhparent = any (touched)
    ) as i
    join pg_class as c on c.oid = i.inhrelid
    -- Where there are any, the declarations are looked for one by one.
    cross join lateral (
      select k.target from audit.tracked as k
      where k.target = any (array[i.inhrelid, case when not c.relispartition then i.inhparent end])
      limit 1) as k
    limit 1;
  if not found then
    return;
  end if;
  raise exception '% cannot % %: % is tracked, and its triggers would not see all rows',
      audit.name_of(v_child), case when v_is_partition then 'become a partition of' else 'inherit' end,
      audit.name_of(v_parent), audit.name_of(v_target)
    using errcode = 'UA001',
      hint = case when v_is_partition
        then format('First: select audit.untrack(%L); then attach it, and track %s.',
          audit.name_of(v_target), audit.name_of(v_parent))
        else format('Use declarative partitioning, or separate tables; or first: '
          'select audit.untrack(%L);', audit.name_of(v_target)) end;
end;
$$;

revoke all on function audit.refuse_inheritance(oid[]) from public;

comment on function audit.refuse_inheritance(oid[]) is
  'Raises an error where one of these tables is tracked and in a hierarchy that its triggers do not see.';

-- Rows may come with a partition, and no action tells of them. Whether there are any is told by
-- its size: to read it would run its owner's code.
create or replace function audit.joined_partitions(target regclass)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_new text[];
  v_filled text[];
begin
  select array_agg(audit.name_of(r) order by audit.name_of(r)),
      array_agg(audit.name_of(r) order by audit.name_of(r)) filter (where pg_relation_size(r) > 0)
    into v_new, v_filled
    from audit.triggered_relations(target) as r
    where r <> target and not audit.has_trigger(r, '_audit_truncate', true);
  if v_filled is not null then
    raise notice 'rows of % are rows of % from now on, and no action in the log tells of them',
      array_to_string(v_filled, ', '), audit.name_of(target);
  end if;
  return case when v_new is null then '{}' else jsonb_build_object('partitions',
      jsonb_build_object('new', to_jsonb(v_new))) end
    || case when v_filled is null then '{}' else jsonb_build_object('partitions_with_rows',
      jsonb_build_object('new', to_jsonb(v_filled))) end;
end;
$$;

revoke all on function audit.joined_partitions(regclass) from public;

comment on function audit.joined_partitions(regclass) is
  'The partitions of a table that its triggers do not know yet, as changes of a row of the log.';

-- Rows that leave with a partition are deleted by no action. What is left on it of the triggers of the
-- whole table says which table that was.
create or replace function audit.leave_partitions(target regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_left regclass;
begin
  for v_left in
    select g.tgrelid::regclass
    from audit.tracked as k
    join pg_class as c on c.oid = k.target and c.relkind = 'p'
    cross join pg_trigger as g
    where k.target = leave_partitions.target
      and g.tgname = '_audit_truncate' and g.tgfoid = to_regproc('audit.log_truncate')
      and not exists (select from audit.triggered_relations(k.target) as r where r = g.tgrelid)
      and split_part(pg_get_triggerdef(g.oid), ' EXECUTE FUNCTION ', 2)
        = split_part(k.compiled -> 'triggers' ->> '_audit_truncate', ' execute function ', 2)
    order by audit.name_of(g.tgrelid)
  loop
    execute format('drop trigger _audit_truncate on %s', audit.name_of(v_left));
    perform audit.write_table_event('tracking_changed', audit.name_of(target), jsonb_build_object(
      'partitions', jsonb_build_object('old', jsonb_build_array(audit.name_of(v_left)))));
  end loop;
end;
$$;

revoke all on function audit.leave_partitions(regclass) from public;

comment on function audit.leave_partitions(regclass) is
  'Says in the log which relations were partitions of a tracked table and are no more.';

-- The actions of a table that declares none.
create or replace function audit.default_actions(item_type text)
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_array(
    jsonb_build_object('action', item_type || '_created', 'on', 'insert'),
    jsonb_build_object('action', item_type || '_updated', 'on', 'update'),
    jsonb_build_object('action', item_type || '_deleted', 'on', 'delete'))
$$;

revoke all on function audit.default_actions(text) from public;

comment on function audit.default_actions(text) is
  'Created, updated and deleted, for a table that declares no actions of its own.';

-- The name that a table's compiled functions begin with: readable, unique, and kept for life.
create or replace function audit.slug_for(relation regclass)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with base as (
    select left(trim('_' from regexp_replace(lower(n.nspname || '_' || c.relname),
      '[^a-z0-9]+', '_', 'g')), 40) as slug
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.oid = relation
  )
  select b.slug || s.suffix
  from base as b
  cross join lateral (
    select '' as suffix, 0 as n
    union all
    select '_' || i, i from generate_series(2, 1 + (select count(*)::int from audit.tracked) + 1) as i
  ) as s
  where not exists (select from audit.tracked as k where k.slug = b.slug || s.suffix)
  order by s.n
  limit 1
$$;

revoke all on function audit.slug_for(regclass) from public;

comment on function audit.slug_for(regclass) is
  'A free name for the compiled functions of a table.';

-- Labels of declared actions; the log may show them long after the declaration is gone.
create or replace function audit.name_actions(actions jsonb)
  returns void
  language sql
  set search_path = pg_catalog, pg_temp
as $$
  insert into audit.action as a (action, label, description)
  select
    r.rule ->> 'action',
    coalesce(min(r.rule ->> 'label'), upper(left(r.rule ->> 'action', 1))
      || replace(substr(r.rule ->> 'action', 2), '_', ' ')),
    coalesce(min(r.rule ->> 'description'), '')
  from jsonb_array_elements(actions) as r (rule)
  group by r.rule ->> 'action'
  on conflict (action) do update
    set label = excluded.label,
      description = coalesce(nullif(excluded.description, ''), a.description)
    where (a.label, a.description) is distinct from
        (excluded.label, coalesce(nullif(excluded.description, ''), a.description))
      and exists (select from jsonb_array_elements(actions) as r (rule)
                  where r.rule ->> 'action' = a.action
                    and (r.rule ? 'label' or r.rule ? 'description'))
$$;

revoke all on function audit.name_actions(jsonb) from public;

comment on function audit.name_actions(jsonb) is
  'Stores the labels and descriptions that a declaration gives its actions.';

-- A declaration as the log shows it when it begins, changes or ends.
create or replace function audit.declaration_of(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select to_jsonb(t)
    - array['id', 'slug', 'target', 'tables', 'columns', 'compiled', 'table_name', 'inputs', 'layout',
      'trigger_count', 'account_tables', 'account_reader']
    || jsonb_build_object(
    'table', coalesce(t.compiled ->> 'name', audit.name_of(t.target)),
    'columns', (
      select coalesce(jsonb_object_agg(c ->> 'name', c ->> 'type'), '{}')
      from jsonb_array_elements(t.columns) as c
      where c ->> 'alias' is null))
$$;

revoke all on function audit.declaration_of(audit.tracked) from public;

comment on function audit.declaration_of(audit.tracked) is
  'A declaration and the columns of its table, as one JSON object.';

-- What the log says of a declaration that followed DDL: which column became which.
create or replace function audit.renamed_columns(was audit.tracked, now audit.tracked)
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select case when count(*) = 0 then '{}' else jsonb_build_object('renamed',
    jsonb_build_object('new', jsonb_object_agg(b ->> 'name', a ->> 'name'))) end
  from jsonb_array_elements(was.columns) as b
  join jsonb_array_elements(now.columns) as a
    on a ->> 'relation' = b ->> 'relation' and a ->> 'number' = b ->> 'number'
  where b ->> 'alias' is null and a ->> 'alias' is null and a ->> 'name' <> b ->> 'name'
$$;

revoke all on function audit.renamed_columns(audit.tracked, audit.tracked) from public;

comment on function audit.renamed_columns(audit.tracked, audit.tracked) is
  'The renamed columns of a table as an entry of changes: {"renamed": {"new": {"then": "now"}}}.';

-- Makes a declaration true: checked, stored, compiled, installed, and the fact itself in the log.
create or replace function audit.apply_declaration(
  was audit.tracked, now audit.tracked, compiler text default audit.compiler_digest()
)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_before jsonb := audit.declaration_of(was);
  v_after jsonb;
  v_compiled audit.compiled;
  v_rebuilt boolean;
  v_joined jsonb;
begin
  perform audit.validate_declaration(now);

  now := audit.settle_readers(now);
  now.tables := now.target || array(
    select l.target from audit.lookups_of(now) as l where l.target <> now.target
    union
    select r from unnest(now.account_tables) as r where r <> now.target
    union
    select c.confrelid from pg_constraint as c
    where c.conrelid = now.target and c.contype = 'f' and c.confdeltype = 'c'
      and c.confrelid <> now.target
    order by 1);
  now.columns := audit.columns_now(now);
  if was.id is null then
    now.slug := audit.slug_for(now.target);
    now.compiled := '{}';
    insert into audit.tracked (target, slug, item_type, actions)
      values (now.target, now.slug, now.item_type, now.actions)
      returning id into now.id;
  end if;
  update audit.tracked as k
    set target = now.target, item_type = now.item_type, item_id = now.item_id,
      item_label = now.item_label, account = now.account, accounts = now.accounts,
      parent_type = now.parent_type, parent_id = now.parent_id, lookups = now.lookups,
      part = now.part, part_name = now.part_name, operational = now.operational,
      secret = now.secret, actions = now.actions, require_actor = now.require_actor,
      on_truncate = now.on_truncate, tables = now.tables, columns = now.columns,
      account_tables = now.account_tables, account_reader = now.account_reader,
      -- Event triggers leave it alone until it has a digest again.
      inputs = 'compiling'
    where k.id = now.id;
  perform audit.name_actions(now.actions);
  now.layout := audit.settle_layout(now);

  v_compiled := audit.compile_table(now);
  v_joined := case when was.id is not null then audit.joined_partitions(now.target) else '{}' end;
  v_rebuilt := audit.install_compiled(now, v_compiled);
  now.compiled := to_jsonb(v_compiled);
  update audit.tracked as k
    set compiled = now.compiled, layout = now.layout, table_name = audit.name_of(now.target),
      inputs = audit.inputs_of(now, compiler),
      trigger_count = (select count(*) from jsonb_object_keys(v_compiled.triggers))
    where k.id = now.id;
  perform audit.revoke_reading(was.tables);

  v_after := audit.declaration_of(now);
  if was.id is null then
    perform audit.write_table_event('tracking_started', audit.name_of(now.target),
      (select jsonb_object_agg(e.key, jsonb_build_object('new', e.value))
       from jsonb_each(v_after) as e));
    return 'started';
  elsif v_rebuilt or v_after <> v_before then
    perform audit.write_table_event('tracking_changed', audit.name_of(now.target),
      (select coalesce(jsonb_object_agg(e.key,
          jsonb_build_object('old', v_before -> e.key, 'new', e.value)), '{}')
       from jsonb_each(v_after) as e where e.value is distinct from v_before -> e.key)
      || audit.renamed_columns(was, now) || v_joined);
    return 'changed';
  end if;
  return 'unchanged';
end;
$$;

revoke all on function audit.apply_declaration(audit.tracked, audit.tracked, text) from public;

comment on function audit.apply_declaration(audit.tracked, audit.tracked, text) is
  'Stores, compiles and installs a declaration; says whether it started, changed or is unchanged.';

-- The functions by which a table's baseline is read and written are there while it runs. Those
-- that read have the rights of the table's owner; where the log's owner may not give a function to
-- that one, and there is no boundary between them, those of the log's owner.
create or replace function audit.install_baseline(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_us constant name := audit.role_for('owner');
  v_writer constant name := audit.role_for('audit_writer');
  v_owner name;
  v_name text;
  v_ddl text;
  v_role name;
begin
  select case
      when r.rolsuper and not u.rolsuper then u.rolname
      when u.rolsuper or pg_has_role(u.oid, r.oid,
        case when current_setting('server_version_num')::integer < 160000 then 'MEMBER'
          else 'SET' end) then r.rolname
    end
    into v_owner
    from pg_class as c
    join pg_roles as r on r.oid = c.relowner
    cross join pg_roles as u
    where c.oid = t.target and u.rolname = v_us;
  if v_owner is null then
    raise exception 'no baseline of %: % is no member of its owner', audit.name_of(t.target), v_us
      using errcode = 'UA005', hint = format('grant %I to %I;',
        (select pg_get_userbyid(c.relowner) from pg_class as c where c.oid = t.target), v_us);
  end if;
  for v_name, v_ddl, v_role in
    select r.name, r.ddl, v_owner from audit.baseline_reader(t) as r
    union all
    select w.name, w.ddl, v_writer from audit.baseline_writer(t) as w
  loop
    continue when exists (
      select from pg_proc as f
      where f.pronamespace = 'audit'::regnamespace and f.proname = v_name
        and pg_get_userbyid(f.proowner) = v_role
        and right(v_ddl, length(quote_literal(f.prosrc))) = quote_literal(f.prosrc));
    -- One that shows other columns than before cannot be replaced.
    if to_regproc(format('audit.%I', v_name)) is not null then
      execute format('drop function audit.%I', v_name);
    end if;
    execute v_ddl;
    execute format('revoke all on function audit.%I from public', v_name);
    execute format('grant execute on function audit.%I to %I, %I', v_name, v_us, v_writer);
    execute format('comment on function audit.%I is %L', v_name,
      format('Compiled by audit.baseline() for %s, until that is done.', audit.name_of(t.target)));
    perform audit.hand_over(v_name, v_role);
  end loop;
end;
$$;

revoke all on function audit.install_baseline(audit.tracked) from public;

comment on function audit.install_baseline(audit.tracked) is
  'Creates the functions of the baseline of a table where they are not there.';

-- Where a baseline is done, or its table is tracked no more: no function of it is left.
create or replace function audit.remove_baseline(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text;
begin
  foreach v_name in array array['_baseline_write', '_baseline_rows', '_baseline_lock'] loop
    if to_regproc(format('audit.%I', t.slug || v_name)) is not null then
      execute format('drop function audit.%I', t.slug || v_name);
    end if;
  end loop;
end;
$$;

revoke all on function audit.remove_baseline(audit.tracked) from public;

comment on function audit.remove_baseline(audit.tracked) is
  'Drops the functions of the baseline of a table.';

-- A baseline begins, or goes on where it was broken off: unless the table has columns since that
-- were not told, or transaction ids are another server's.
create or replace function audit.begin_baseline(t audit.tracked)
  returns audit.baseline_run
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_run audit.baseline_run;
  v_era constant integer := (select max(e.number) from audit.era as e);
  v_inputs constant text := t.inputs || (
    select format(' %s', c.relowner::regrole) from pg_class as c where c.oid = t.target);
  v_since constant bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
begin
  begin
    select * into v_run from audit.baseline_run as b where b.tracked_id = t.id for update nowait;
    if not found then
      insert into audit.baseline_run (tracked_id, layout, era, since)
        values (t.id, t.layout, v_era, v_since)
        returning * into v_run;
    end if;
  exception
    when lock_not_available or unique_violation then
      raise exception 'a baseline of % is running', audit.name_of(t.target)
        using errcode = 'object_in_use', hint = 'Let it go on; two would tell the same rows.';
  end;
  if v_run.phase = 'done' or v_run.era <> v_era
    or v_run.layout <> t.layout and v_run.layout <> all (audit.whole_layouts(t))
  then
    delete from audit.baseline_key as k where k.tracked_id = t.id;
    delete from audit.baseline_run as b where b.tracked_id = t.id;
    insert into audit.baseline_run (tracked_id, layout, era, since)
      values (t.id, t.layout, v_era, v_since)
      returning * into v_run;
  end if;
  if not exists (select from audit.action as a where a.action = t.item_type || '_baseline') then
    insert into audit.action (action, label, description)
      values (t.item_type || '_baseline',
        upper(left(t.item_type, 1)) || replace(substr(t.item_type, 2), '_', ' ') || ' baseline',
        'What a row was like that was there before the log could tell of it.')
      on conflict do nothing;
  end if;
  -- To compile takes as long as to tell a thousand rows.
  if v_run.inputs <> v_inputs or t.inputs = ''
    or to_regproc(format('audit.%I', t.slug || '_baseline_write')) is null
  then
    perform audit.install_baseline(t);
    update audit.baseline_run as b set inputs = v_inputs where b.tracked_id = t.id;
  end if;
  return v_run;
end;
$$;

revoke all on function audit.begin_baseline(audit.tracked) from public;

comment on function audit.begin_baseline(audit.tracked) is
  'Begins the baseline of a table or goes on with it; says how far it is.';

-- One batch of a baseline. Rows are locked, then read, then told: what others committed before is
-- in the log before, what they do next comes after. Nobody is waited for: a row that somebody
-- holds is looked at again later. So is, at the end, what was written meanwhile, for a row whose
-- key changed may have gone past: all such rows are found at once, and where one has got another
-- key until it is looked at, they are found once more.
create or replace function audit.baseline_batch(
  t audit.tracked, size integer, inout run audit.baseline_run, out seen bigint, out told bigint,
  out waiting bigint
)
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_lock constant text := format('select * from audit.%I($1, $2, $3, $4)',
    t.slug || '_baseline_lock');
  v_now constant bigint := pg_current_xact_id()::text::bigint;
  v_keys text[];
  v_age integer;
  v_up_to text;
  v_locked text[];
  v_missed text[];
  v_changed bigint;
  v_path text;
begin
  seen := 0;
  told := 0;
  waiting := 0;
  if run.phase <> 'rows' then
    with looked_at as (
      delete from audit.baseline_key as k
      where k.tracked_id = t.id and k.key = any (array(
        select f.key from audit.baseline_key as f
        where f.tracked_id = t.id order by f.key limit size))
      returning k.key
    )
    select coalesce(array_agg(l.key), '{}') into v_keys from looked_at as l;
    if v_keys = '{}' then
      run.phase := 'last';
      run.astray := 0;
      v_age := least(v_now - run.since, 2147483646);
      run.since := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
      execute v_lock into v_up_to, v_locked, v_missed, v_changed
        using null::text, size, null::text[], v_age;
      perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
      v_keys := v_missed[1 : size];
      insert into audit.baseline_key (tracked_id, key)
        select t.id, m from unnest(v_missed[size + 1 : cardinality(v_missed)]) as m;
    end if;
    v_age := least(v_now - run.since, 2147483646);
  end if;
  execute v_lock into v_up_to, v_locked, v_missed, v_changed using run.reached, size, v_keys, v_age;
  -- The owner of the table may have left a search path behind, here or for the session.
  v_path := pg_catalog.current_setting('search_path');
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  if v_path <> 'pg_catalog, pg_temp' then
    raise exception 'no baseline of %: code of its owner sets search_path', audit.name_of(t.target)
      using errcode = 'UA005', detail = format('It is %s after reading the table.', v_path);
  end if;
  if v_locked <> '{}' then
    execute format('select audit.%I($1, $2, $3)', t.slug || '_baseline_write')
      into told
      using run.reached, v_up_to, v_locked;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  end if;
  insert into audit.baseline_key (tracked_id, key)
    select t.id, m from unnest(v_missed) as m
    on conflict do nothing;
  seen := cardinality(v_locked);
  run.told := run.told + told;
  if run.phase = 'rows' then
    run.phase := case when v_up_to is null then 'rest' else 'rows' end;
    run.reached := coalesce(v_up_to, run.reached);
    return;
  end if;
  waiting := cardinality(v_missed);
  run.astray := run.astray + cardinality(v_keys) - seen - waiting
    + case when told > 0 then v_changed else 0 end;
  if run.phase = 'last' and run.astray = 0
    and not exists (select from audit.baseline_key as k where k.tracked_id = t.id)
  then
    run.phase := 'done';
  end if;
end;
$$;

revoke all on function audit.baseline_batch(audit.tracked, integer, audit.baseline_run) from public;

comment on function audit.baseline_batch(audit.tracked, integer, audit.baseline_run) is
  'Tells one batch of the rows of a table, and says how far the baseline is then.';

-- Takes a declaration away with all that was compiled from it, also when its table is gone already.
create or replace function audit.remove_declaration(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_compiled audit.compiled := jsonb_populate_record(null::audit.compiled, t.compiled);
  v_relation regclass;
  v_name text;
begin
  -- First, so that event triggers find nothing to follow.
  delete from audit.tracked as k where k.id = t.id;
  if audit.name_of(t.target) is not null then
    for v_relation in select audit.triggered_relations(t.target) loop
      for v_name in select jsonb_object_keys(v_compiled.triggers) loop
        if audit.carries(v_relation, t.target, v_name) then
          execute format('drop trigger if exists %I on %s', v_name, audit.name_of(v_relation));
        end if;
      end loop;
    end loop;
  end if;
  for v_name in select jsonb_object_keys(v_compiled.functions) loop
    execute format('drop function if exists audit.%I', v_name);
  end loop;
  perform audit.remove_baseline(t);
  delete from audit.baseline_key as k where k.tracked_id = t.id;
  delete from audit.baseline_run as b where b.tracked_id = t.id;
  perform audit.revoke_reading(t.tables);
  perform audit.write_table_event('tracking_stopped',
    coalesce(audit.name_of(t.target), v_compiled.name, t.target::text),
    (select jsonb_object_agg(e.key, jsonb_build_object('old', e.value))
     from jsonb_each(audit.declaration_of(t)) as e));
end;
$$;

revoke all on function audit.remove_declaration(audit.tracked) from public;

comment on function audit.remove_declaration(audit.tracked) is
  'Removes a declaration, its triggers and its functions, and says so in the log.';

-- What audit.refresh() does for one table.
create or replace function audit.follow_table(t audit.tracked, compiler text)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if audit.name_of(t.target) is null then
    perform audit.remove_declaration(t);
    return t.compiled ->> 'name';
  end if;
  if t.inputs = audit.inputs_of(t, compiler)
    and audit.is_installed(t)
    -- A restored table is another one, whose columns are numbered anew.
    and t.target = (select y.relation from audit.layout as y where y.id = t.layout)
  then
    return null;
  end if;
  perform audit.validate_trackable(t.target);
  return case when audit.apply_declaration(t, audit.follow_columns(t), compiler) = 'changed'
    then audit.name_of(t.target) end;
end;
$$;

revoke all on function audit.follow_table(audit.tracked, text) from public;

comment on function audit.follow_table(audit.tracked, text) is
  'Brings a declaration and its triggers in line with their table; returns its name if anything '
  'changed.';

-- Tells the log what is there: the rows of a tracked table that it does not know whole, because
-- they are older than its tracking, or than a column of it. A batch is one transaction, whose rows
-- nobody can change until it ends; where it is broken off, the next one goes on. Without a batch
-- the whole table is told in this transaction.
create or replace function audit.baseline(
  target regclass, batch integer default null, out seen bigint, out told bigint,
  out waiting bigint, out is_done boolean
)
  language plpgsql
  -- Whoever was granted this may have rows told as they are, and can write none of his own.
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
  set jit = off
as $$
declare
  t audit.tracked;
  v_run audit.baseline_run;
  v_batch record;
  v_tries integer := 0;
  v_waits constant text := audit.bound_waits();
begin
  if batch < 1 then
    raise exception 'a batch of % rows', batch using errcode = 'invalid_parameter_value';
  end if;
  select * into t from audit.tracked as k where k.target = baseline.target;
  if not found then
    raise exception 'table % is not tracked', baseline.target
      using errcode = 'UA009', hint = 'Declare it with audit.track().';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'no baseline of % in a transaction that is %', baseline.target,
        current_setting('transaction_isolation')
      using errcode = 'active_sql_transaction',
        hint = 'It has to see what others commit: begin isolation level read committed.';
  end if;
  v_run := audit.begin_baseline(t);
  seen := 0;
  told := 0;
  loop
    begin
      select * into v_batch from audit.baseline_batch(t, coalesce(batch, 10000), v_run);
    exception
      -- A row went to another partition while it was to be locked.
      when serialization_failure then
        v_tries := v_tries + 1;
        if v_tries > 100 then
          raise;
        end if;
        continue;
    end;
    v_run := v_batch.run;
    seen := seen + v_batch.seen;
    told := told + v_batch.told;
    waiting := v_batch.waiting;
    is_done := v_run.phase = 'done';
    exit when is_done or batch is not null or (waiting > 0 and v_batch.seen = 0);
  end loop;
  update audit.baseline_run as b
    set phase = v_run.phase, reached = v_run.reached, since = v_run.since, astray = v_run.astray,
      told = v_run.told, done_at = case when baseline.is_done then clock_timestamp() end
    where b.tracked_id = t.id;
  if is_done then
    perform audit.remove_baseline(t);
  elsif batch is null then
    raise notice '% rows of % are held by other transactions', waiting, baseline.target
      using hint = 'Commit, and call it again: it goes on with them.';
  end if;
  perform set_config('lock_timeout', v_waits, true);
end;
$$;

revoke all on function audit.baseline(regclass, integer) from public;

comment on function audit.baseline(regclass, integer) is
  'Public. Tells the log the rows of a tracked table that it does not know; says how many were '
  'seen and told, how many others hold, and whether it is done.';

-- Declares a table: from here on its essential actions are in the log. Idempotent.
create or replace function audit.track(
  target regclass,
  item_type text default null,
  item_id text default null,
  item_label text default null,
  account text default null,
  accounts text default null,
  parent_type text default null,
  parent_id text default null,
  lookups jsonb default '{}',
  part text default null,
  part_name text default null,
  operational text[] default '{}',
  secret text[] default '{}',
  actions jsonb default null,
  require_actor boolean default false,
  on_truncate text default 'log',
  baseline boolean default false
)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_new audit.tracked;
  v_old audit.tracked;
  v_done text;
  v_other text;
  v_waits constant text := audit.bound_waits();
begin
  perform audit.validate_trackable(track.target);
  begin
    lock table audit.tracked in share row exclusive mode;
  exception
    when lock_not_available then
      perform audit.gave_up(array['audit.tracked'::regclass]);
  end;
  select * into v_old from audit.tracked as k where k.target = track.target;
  v_new := v_old;
  v_new.target := track.target;
  v_new.item_type := coalesce(track.item_type,
    (select c.relname from pg_class as c where c.oid = track.target));
  v_new.item_id := track.item_id;
  v_new.item_label := track.item_label;
  v_new.account := track.account;
  v_new.accounts := track.accounts;
  v_new.parent_type := track.parent_type;
  v_new.parent_id := track.parent_id;
  v_new.lookups := coalesce(track.lookups, '{}');
  v_new.part := track.part;
  v_new.part_name := track.part_name;
  v_new.operational := coalesce(track.operational, '{}');
  v_new.secret := coalesce(track.secret, '{}');
  v_new.actions := coalesce(track.actions, audit.default_actions(v_new.item_type));
  v_new.require_actor := coalesce(track.require_actor, false);
  v_new.on_truncate := coalesce(track.on_truncate, 'log');
  begin
    v_done := audit.apply_declaration(v_old, v_new);
  exception
    when lock_not_available then
      perform audit.gave_up(array[track.target]);
  end;
  perform set_config('lock_timeout', v_waits, true);
  if track.baseline then
    perform audit.baseline(track.target);
  end if;
  -- Where both are said by name, the ids of one table are meant as those of the other.
  select string_agg(audit.name_of(k.target), ', ' order by k.id)
    into v_other
    from audit.tracked as k
    where k.item_type = v_new.item_type and k.target <> track.target
      and k.part is null and v_new.part is null
      and (track.item_type is null or track.item_id is null);
  if v_other is not null and v_done <> 'unchanged' then
    raise notice 'items of % are of the type "%", and so are those of %',
        audit.name_of(track.target), v_new.item_type, v_other
      using hint = 'The same id stands for an item in each of them. Give another item_type, unless they '
        'are the same items; or tell them apart by table_name in audit.events, table= in Python, '
        '--table on the command line.';
  end if;
  return v_done;
end;
$$;

revoke all on function audit.track(regclass, text, text, text, text, text, text, text, jsonb, text,
  text, text[], text[], jsonb, boolean, text, boolean) from public;

comment on function audit.track(regclass, text, text, text, text, text, text, text, jsonb, text,
  text, text[], text[], jsonb, boolean, text, boolean) is
  'Public. Tracks a table, or changes how it is tracked; says whether it started, changed or is '
  'unchanged.';

-- Ends the tracking of a table: its triggers and functions go, its history stays. Idempotent.
create or replace function audit.untrack(target regclass)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_tracked audit.tracked;
  v_waits constant text := audit.bound_waits();
  v_is_tracked boolean;
begin
  lock table audit.tracked in share row exclusive mode;
  select * into v_tracked from audit.tracked as k where k.target = untrack.target;
  v_is_tracked := found;
  if v_is_tracked then
    perform audit.remove_declaration(v_tracked);
  end if;
  perform set_config('lock_timeout', v_waits, true);
  return case when v_is_tracked then 'stopped' else 'unchanged' end;
exception
  when lock_not_available then
    perform audit.gave_up(array['audit.tracked', untrack.target]);
    return null;
end;
$$;

revoke all on function audit.untrack(regclass) from public;

comment on function audit.untrack(regclass) is
  'Public. Stops tracking a table, whose rows of the log stay; says whether it stopped or is '
  'unchanged.';

-- The decision that a table is not tracked, so that audit.check() tells of it no more.
create or replace function audit.ignore(target regclass, is_ignored boolean default true)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  -- Of tables that are gone nothing is left.
  delete from audit.ignored as i
    where not exists (select from pg_class as c where c.oid = i.target);
  if not ignore.is_ignored then
    delete from audit.ignored as i where i.target = ignore.target;
  else
    insert into audit.ignored as i (target) values (ignore.target)
      on conflict on constraint ignored_pkey do nothing;
  end if;
  return case when not found then 'unchanged' when ignore.is_ignored then 'ignored' else 'told' end;
end;
$$;

revoke all on function audit.ignore(regclass, boolean) from public;

comment on function audit.ignore(regclass, boolean) is
  'Public. Says that a table is not tracked on purpose, or no longer so; returns ignored, told or '
  'unchanged.';

-- After DDL: declarations follow their tables and are compiled anew where something changed.
create or replace function audit.refresh(target regclass default null)
  returns setof text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_tracked audit.tracked;
  v_compiler text := audit.compiler_digest();
  v_waits constant text := audit.bound_waits();
  v_found boolean := false;
  v_changed text;
  v_hint text;
begin
  begin
    lock table audit.tracked in share row exclusive mode;
    -- After a restore of data alone.
    if refresh.target is null
      and exists (select from audit.check_layouts() as f where f.finding = 'layout_missing')
    then
      perform audit.derive_layouts();
    end if;
    for v_tracked in
      select * from audit.tracked as k
      where refresh.target is null or k.target = refresh.target
      order by k.id
    loop
      v_found := true;
      begin
        v_changed := audit.follow_table(v_tracked, v_compiler);
        if v_changed is not null then
          return next v_changed;
        end if;
      exception
        when lock_not_available or transaction_rollback or insufficient_resources
          or operator_intervention then
          raise;
        when others then
          if refresh.target is not null then
            raise;
          end if;
          -- One that is broken keeps no other from being compiled; writes to it fail.
          get stacked diagnostics v_hint = pg_exception_hint;
          raise warning 'not refreshed: %', sqlerrm using errcode = sqlstate, hint = v_hint;
      end;
    end loop;
  exception
    when lock_not_available then
      perform audit.gave_up('audit.tracked'::regclass || case
        when refresh.target is null then array(select k.target from audit.tracked as k)
        else array[refresh.target] end);
  end;
  perform set_config('lock_timeout', v_waits, true);
  if not v_found and refresh.target is not null then
    raise exception 'table % is not tracked', refresh.target
      using errcode = 'UA009', hint = 'Declare it with audit.track().';
  end if;
end;
$$;

revoke all on function audit.refresh(regclass) from public;

comment on function audit.refresh(regclass) is
  'Public. Compiles one tracked table or all anew after DDL; returns the names of those that '
  'changed.';

-- Before DDL that retypes or drops an audited column: PostgreSQL refuses it while the trigger for
-- UPDATE lists the column. The wider trigger lists none; refresh() puts the narrow one back.
create or replace function audit.widen(target regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_tracked audit.tracked;
  v_compiled audit.compiled;
  v_narrow text;
begin
  select * into v_tracked from audit.tracked as k where k.target = widen.target;
  if not found then
    raise exception 'table % is not tracked', widen.target
      using errcode = 'UA009', hint = 'Declare it with audit.track().';
  end if;
  v_compiled := jsonb_populate_record(null::audit.compiled, v_tracked.compiled);
  v_narrow := v_compiled.triggers ->> '_audit_update';
  if v_narrow like 'after update of %' and v_tracked.inputs <> 'compiling' then
    v_compiled.triggers := v_compiled.triggers || jsonb_build_object('_audit_update',
      'after update' || substr(v_narrow, strpos(v_narrow, format(' on %s for each', target))));
    -- At once as what follows locks it: nobody who waits in between can be waited for.
    execute format('lock table %s in access exclusive mode', audit.name_of(target));
    update audit.tracked as k set inputs = 'compiling' where k.id = v_tracked.id;
    perform audit.install_compiled(v_tracked, v_compiled);
    update audit.tracked as k
      set inputs = '', compiled = to_jsonb(v_compiled)
      where k.id = v_tracked.id;
  end if;
end;
$$;

revoke all on function audit.widen(regclass) from public;

comment on function audit.widen(regclass) is
  'Public. Replaces the trigger for UPDATE by one without a column list, so that columns can be '
  'altered.';

-- ALTER TABLE on an audited column would be refused because the trigger lists it: widen it first.
create or replace function audit.before_ddl()
  returns event_trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set jit = off
  set standard_conforming_strings = on
  set quote_all_identifiers = off
as $$
declare
  v_stack text;
  v_statement text;
  v_target regclass;
begin
  get diagnostics v_stack = pg_context;
  v_statement := audit.statement_of(v_stack);
  if v_statement !~* '\m(type|drop)\M' then
    return;
  end if;
  -- It changes nothing but the cost of the next updates, until after_ddl() narrows it again.
  for v_target in select audit.tables_altered(v_statement) loop
    perform audit.widen(v_target);
  end loop;
end;
$$;

revoke all on function audit.before_ddl() from public;

comment on function audit.before_ddl() is
  'Event trigger: makes way for ALTER TABLE on the columns of tracked tables.';

-- After DDL on a tracked table its triggers are compiled anew in the same transaction. Every command
-- comes here, so what concerns no tracked table ends with one look into an index; and so do those by
-- which a table is compiled, for a declaration says itself that it is being compiled.
create or replace function audit.after_ddl()
  returns event_trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_stack text;
  v_touched oid[];
  v_roots oid[];
begin
  select array_agg(t.oid), array_agg(a.relid) filter (where a.relid is not null)
    into v_touched, v_roots
    from pg_event_trigger_ddl_commands() as c
    cross join lateral (
      select c.objid where c.classid <> all (array['pg_trigger', 'pg_namespace']::regclass[])
      union all
      select g.tgrelid from pg_trigger as g
      where c.classid = 'pg_trigger'::regclass and g.oid = c.objid
      union all
      select r.oid from pg_class as r
      where c.classid = 'pg_namespace'::regclass and r.relnamespace = c.objid
      union all
      select w from audit.touched_with(c.classid, c.objid) as w where tg_tag like 'ALTER %'
    ) as t (oid)
    left join lateral (
      select p.relid::oid from pg_partition_ancestors(t.oid) as p
      union all
      select i.inhparent from pg_inherits as i where i.inhrelid = t.oid
    ) as a (relid) on true;
  if tg_tag <> 'ALTER TABLE'
    and not exists (select from audit.tracked as k where k.tables::oid[] && (v_touched || v_roots))
  then
    return;
  end if;
  perform audit.refuse_inheritance(v_touched);
  -- Triggers that the owner disabled stay so (a restore does it), but not in silence.
  perform audit.write_table_event('tracking_changed', audit.name_of(k.target),
      jsonb_build_object('triggers', jsonb_build_object('new', 'disabled')))
    from audit.tracked as k
    where k.target = any (v_touched || v_roots) and k.inputs <> 'compiling'
      and exists (select from pg_trigger as g
                  where (g.tgrelid = k.target or g.tgrelid = any (v_touched))
                    and g.tgenabled = 'D' and g.tgname ~ '^_audit_');
  if tg_tag = 'ALTER TABLE' then
    perform audit.leave_partitions(k.target)
      from audit.tracked as k
      where k.target = any (v_touched::regclass[]) and k.inputs <> 'compiling';
  end if;
  get diagnostics v_stack = pg_context;
  perform audit.refresh(s.target)
    from (
      select k.target
      from audit.tracked as k
      where k.tables::oid[] && (v_touched || v_roots) and k.inputs <> 'compiling'
        and audit.is_stale(k, v_touched || v_roots)
        -- Between two statements that replace a key whose columns are gone, writes wait for it.
        and audit.key_of(k.target) <> '{}'
      union
      -- What before_ddl() widened because the text names it, whether the command touched it or not.
      select k.target
      from audit.tables_altered(audit.statement_of(v_stack)) as n (target)
      join audit.tracked as k on k.target = n.target
      where tg_tag in ('ALTER TABLE', 'ALTER TYPE') and k.inputs = ''
        and audit.key_of(k.target) <> '{}'
    ) as s;
end;
$$;

revoke all on function audit.after_ddl() from public;

comment on function audit.after_ddl() is
  'Event trigger: compiles tracked tables anew that a command has changed.';

-- What went with something else, by a cascade, is no object of the command: a tracked table that is
-- gone stops being tracked, and one that lost triggers or columns is compiled anew.
create or replace function audit.after_drop()
  returns event_trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_hit oid[];
begin
  select array_agg(case d.classid when 'pg_class'::regclass then d.objid
      else to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) end)
    into v_hit
    from pg_event_trigger_dropped_objects() as d
    where d.classid = 'pg_class'::regclass
      or d.classid = 'pg_trigger'::regclass and d.address_names[3] ~ '^_audit_'
      -- A foreign key that went with its other table.
      or d.classid = 'pg_constraint'::regclass and d.object_type = 'table constraint'
        and tg_tag <> 'ALTER TABLE';
  -- Whether DDL is followed is one thing, and this is a part of it.
  if v_hit is null or not audit.follows_ddl() then
    return;
  end if;
  perform audit.refresh(k.target)
    from audit.tracked as k
    where k.tables::oid[] && v_hit and k.inputs <> 'compiling' and audit.is_stale(k, v_hit)
      and (audit.name_of(k.target) is null or audit.key_of(k.target) <> '{}');
end;
$$;

revoke all on function audit.after_drop() from public;

comment on function audit.after_drop() is
  'Event trigger: follows what tracked tables lost, and those that are gone.';

-- Where a subscription begins to write to the log, an era begins: what comes is of another one, and no
-- place of before, up to which somebody has exported, tells what of it is new. Afterwards, when the
-- subscription is gone, rows with ids that this server has passed long ago could not be told.
create or replace function audit.after_subscription()
  returns event_trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_newest audit.era;
begin
  select e.* into v_newest from audit.era as e order by e.number desc limit 1;
  -- While an import is under way there is a new era already.
  if v_newest.is_open or not exists (
    select from pg_subscription_rel as w
    where pg_partition_root(w.srrelid) = 'audit.log'::regclass
      and (v_newest.kind <> 'replicated' or w.srsubstate = 'i' or tg_tag = 'CREATE SUBSCRIPTION'))
  then
    return;
  end if;
  begin
    perform audit.begin_era();
  exception
    when lock_not_available then
      raise warning 'no era of the log could begin, which is in use; rows of another server will come'
        using hint = 'As the owner of the log: select audit.begin_era();';
  end;
end;
$$;

revoke all on function audit.after_subscription() from public;

comment on function audit.after_subscription() is
  'Event trigger: begins an era where a subscription writes to the log.';

-- Event triggers take a superuser; without them audit.refresh() is called by hand after DDL.
create or replace function audit.follow_ddl()
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not (select r.rolsuper from pg_roles as r where r.rolname = current_user) then
    return;
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_before_ddl') then
    create event trigger audit_before_ddl on ddl_command_start
      when tag in ('ALTER TABLE', 'ALTER TYPE')
      execute function audit.before_ddl();
    comment on event trigger audit_before_ddl is
      'Makes way for ALTER TABLE on the columns of tracked tables.';
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_after_ddl') then
    create event trigger audit_after_ddl on ddl_command_end
      when tag in ('ALTER TABLE', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE SCHEMA', 'CREATE TRIGGER',
        'ALTER TRIGGER', 'ALTER INDEX', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER EXTENSION',
        'ALTER COLLATION', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER FOREIGN TABLE',
        'CREATE FOREIGN TABLE')
      execute function audit.after_ddl();
    comment on event trigger audit_after_ddl is
      'Compiles tracked tables anew that a command has changed.';
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_after_drop') then
    create event trigger audit_after_drop on sql_drop
      execute function audit.after_drop();
    comment on event trigger audit_after_drop is
      'Follows what tracked tables lost, and those that are gone.';
  end if;
  if not exists (select from pg_event_trigger as e where e.evtname = 'audit_after_subscription') then
    create event trigger audit_after_subscription on ddl_command_end
      when tag in ('CREATE SUBSCRIPTION', 'ALTER SUBSCRIPTION')
      execute function audit.after_subscription();
    comment on event trigger audit_after_subscription is
      'Begins an era of the log where a subscription writes to it.';
  end if;
  alter event trigger audit_before_ddl enable always;
  alter event trigger audit_after_ddl enable always;
  alter event trigger audit_after_drop enable always;
  alter event trigger audit_after_subscription enable always;
end;
$$;

revoke all on function audit.follow_ddl() from public;

comment on function audit.follow_ddl() is
  'Creates and enables the event triggers; does nothing for a role that may not.';

select audit.follow_ddl();

-- A policy of the log as it is written for a partition of it.
create or replace function audit.policy_ddl(policy oid, relation regclass)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('create policy %I on %s as %s for %s to %s', p.polname,
      audit.name_of(policy_ddl.relation),
      case when p.polpermissive then 'permissive' else 'restrictive' end,
      case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
        when 'd' then 'delete' else 'all' end,
      (select string_agg(case o when 0 then 'public' else quote_ident(pg_get_userbyid(o)) end, ', ')
       from unnest(p.polroles) as o))
    || coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
    || coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
  from pg_policy as p
  where p.oid = policy_ddl.policy
$$;

revoke all on function audit.policy_ddl(oid, regclass) from public;

comment on function audit.policy_ddl(oid, regclass) is
  'The statement that makes a policy of the log on a partition.';

-- Row security of the log, on the parent and on each partition alike: a partition can be read by
-- its own name, and then the parent's policies do not count.
create or replace function audit.protect(relation regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_ddl text;
begin
  if not (select c.relrowsecurity from pg_class as c where c.oid = protect.relation) then
    execute format('alter table %s enable row level security', audit.name_of(protect.relation));
  end if;
  if not exists (select from pg_policy as p
                 where p.polrelid = protect.relation and p.polname = 'account_policy') then
    -- The setting is empty where nobody set it, and so is the account where there are no tenants.
    execute format(
      'create policy account_policy on %s for select '
      'using (account_id = coalesce(current_setting(''audit.account_id'', true), ''''))',
      audit.name_of(protect.relation));
  end if;
  if to_regrole('audit_exporter') is not null
    and not exists (select from pg_policy as p
                    where p.polrelid = protect.relation and p.polname = 'exporter_policy') then
    execute format('create policy exporter_policy on %s for select to audit_exporter using (true)',
      audit.name_of(protect.relation));
  end if;
  -- Compiled functions write to the log itself, and PostgreSQL finds the partition.
  if to_regrole('audit_writer') is not null and protect.relation = 'audit.log'::regclass
    and not exists (select from pg_policy as p
                    where p.polrelid = protect.relation and p.polname = 'writer_policy') then
    create policy writer_policy on audit.log for insert to audit_writer with check (true);
  end if;
  -- What a DBA added to the log, such as a role that sees one account whatever it sets.
  for v_ddl in
    select audit.policy_ddl(p.oid, protect.relation)
    from pg_policy as p
    where p.polrelid = 'audit.log'::regclass and p.polname <> 'writer_policy'
      and not exists (select from pg_policy as o
                      where o.polrelid = protect.relation and o.polname = p.polname)
  loop
    execute v_ddl;
  end loop;
end;
$$;

revoke all on function audit.protect(regclass) from public;

comment on function audit.protect(regclass) is
  'Gives the log, or a partition of it, its row security.';

-- One partition of the log: made beside it and then attached, which waits for no writer.
create or replace function audit.add_partition(name text, lower_bound text, upper_bound text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_checks text := concat_ws(' and ',
    case when lower_bound <> 'minvalue' then format('occurred_at >= %L', lower_bound) end,
    case when upper_bound <> 'maxvalue' then format('occurred_at < %L', upper_bound) end);
begin
  if to_regclass(format('audit.%I', add_partition.name)) is null then
    execute format('create table audit.%I (like audit.log including all)', add_partition.name);
    execute format('revoke all on audit.%I from public', add_partition.name);
    perform audit.protect(format('audit.%I', add_partition.name)::regclass);
    execute format(
      'create trigger refuse_truncate before truncate on audit.%I '
      'for each statement execute function audit.refuse_change()', add_partition.name);
    execute format('alter table audit.%I enable always trigger refuse_truncate',
      add_partition.name);
    execute format('alter table audit.%I %s', add_partition.name, (
      select string_agg(format('alter column %I set statistics %s', a.attname, a.attstattarget), ', ')
      from pg_attribute as a
      where a.attrelid = 'audit.log'::regclass and a.attnum > 0 and a.attstattarget >= 0));
    -- Rows never change: vacuum has only to freeze them, once, as they come.
    execute format(
      'alter table audit.%I set (autovacuum_vacuum_insert_scale_factor = 0, '
      'autovacuum_vacuum_insert_threshold = 500000, autovacuum_freeze_min_age = 0)',
      add_partition.name);
    -- A time without end fits no partition that ends; only the catch-alls can meet one.
    if lower_bound = 'minvalue' or upper_bound = 'maxvalue' then
      execute format(
        'alter table audit.%I add constraint finite_check check (isfinite(occurred_at))',
        add_partition.name);
    end if;
  end if;
  -- The check spares ATTACH the scan of the rows; it has then done its work.
  execute format('alter table audit.%I add constraint bounds_check check (%s)',
    add_partition.name, v_checks);
  execute format('alter table audit.log attach partition audit.%I for values from (%s) to (%s)',
    add_partition.name,
    case when lower_bound = 'minvalue' then lower_bound else quote_literal(lower_bound) end,
    case when upper_bound = 'maxvalue' then upper_bound else quote_literal(upper_bound) end);
  execute format('alter table audit.%I drop constraint bounds_check', add_partition.name);
end;
$$;

revoke all on function audit.add_partition(text, text, text) from public;

comment on function audit.add_partition(text, text, text) is
  'Creates a partition of the log, or takes a detached one, and attaches it between two bounds.';

-- The partitions of the log with their bounds as times, for maintenance and for checks.
create or replace function audit.partition_list()
  returns table (partition text, lower_bound timestamptz, upper_bound timestamptz)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
  select
    c.relname::text,
    coalesce(substring(b.text from 'FROM \(''([^'']+)''\)')::timestamptz, '-infinity'),
    coalesce(substring(b.text from 'TO \(''([^'']+)''\)')::timestamptz, 'infinity')
  from pg_inherits as i
  join pg_class as c on c.oid = i.inhrelid
  cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as text) as b
  where i.inhparent = 'audit.log'::regclass
  order by 2
$$;

revoke all on function audit.partition_list() from public;

comment on function audit.partition_list() is
  'The partitions of the log and the times from which and before which their rows are.';

-- A partition is named after its time: log_2026_11, log_2026_q4, log_2026, or from and to.
create or replace function audit.partition_name(lower_bound timestamptz, upper_bound timestamptz)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
  select 'log_' || case
    when upper_bound = lower_bound + interval '1 month'
      and lower_bound = date_trunc('month', lower_bound) then to_char(lower_bound, 'YYYY_MM')
    when upper_bound = lower_bound + interval '3 months'
      and lower_bound = date_trunc('quarter', lower_bound) then to_char(lower_bound, 'YYYY_"q"Q')
    when upper_bound = lower_bound + interval '1 year'
      and lower_bound = date_trunc('year', lower_bound) then to_char(lower_bound, 'YYYY')
    when lower_bound = date_trunc('month', lower_bound)
      and upper_bound = date_trunc('month', upper_bound)
      then to_char(lower_bound, 'YYYY_MM') || '_to_'
        || to_char(upper_bound - interval '1 day', 'YYYY_MM')
    -- Bounds that somebody chose by hand.
    else to_char(lower_bound, 'YYYY_MM_DD') || '_to_' || to_char(upper_bound, 'YYYY_MM_DD')
  end || case when lower_bound < '0001-01-01 00:00:00+00' then '_bc' else '' end
$$;

revoke all on function audit.partition_name(timestamptz, timestamptz) from public;

comment on function audit.partition_name(timestamptz, timestamptz) is
  'Name of the partition of the log between two times.';

-- Partitions begin and end where an interval of the option partition_interval does, in UTC.
create or replace function audit.interval_after(moment timestamptz)
  returns timestamptz
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
  select date_trunc(o.value, interval_after.moment) + case o.value
    when 'month' then interval '1 month' when 'quarter' then interval '3 months'
    else interval '1 year' end
  from audit.option as o
  where o.name = 'partition_interval'
$$;

revoke all on function audit.interval_after(timestamptz) from public;

comment on function audit.interval_after(timestamptz) is
  'The end of the interval that a time lies in.';

-- Only an empty partition is ever taken out of the way.
create or replace function audit.is_partition_empty(partition text)
  returns boolean
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_empty boolean;
begin
  execute format('select not exists (select from audit.%I)', is_partition_empty.partition)
    into v_is_empty;
  return v_is_empty;
end;
$$;

revoke all on function audit.is_partition_empty(text) from public;

comment on function audit.is_partition_empty(text) is 'Whether a partition of the log has no rows.';

-- A new partition between two times. What has its name was detached by somebody: its rows must not
-- come back unasked.
create or replace function audit.add_piece(lower_bound timestamptz, upper_bound timestamptz)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
declare
  v_name text := case
    when add_piece.lower_bound = '-infinity' then 'log_past'
    when add_piece.upper_bound = 'infinity' then 'log_future'
    else audit.partition_name(add_piece.lower_bound, add_piece.upper_bound)
  end;
begin
  if to_regclass(format('audit.%I', v_name)) is not null then
    raise exception 'audit.% is no partition of the log, and has the name of one', v_name
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'Attach it again with audit.add_partition(), or rename it.';
  end if;
  perform audit.add_partition(v_name,
    case when add_piece.lower_bound = '-infinity' then 'minvalue'
      else add_piece.lower_bound::text end,
    case when add_piece.upper_bound = 'infinity' then 'maxvalue'
      else add_piece.upper_bound::text end);
end;
$$;

revoke all on function audit.add_piece(timestamptz, timestamptz) from public;

comment on function audit.add_piece(timestamptz, timestamptz) is
  'Adds a new partition of the log between two times, with the name that belongs to it.';

-- A time whose rows shall not lie with those of other times: history from before the log, or what a
-- clock wrote that was ahead. What spans its interval and more is cut in pieces: the intervals that
-- have rows, and what is between them. An empty partition goes; the rows of another one are moved,
-- which keeps writers out as long as that takes.
create or replace function audit.add_interval(moment timestamptz)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
  set lock_timeout = '20ms'
as $$
declare
  -- Beyond them an interval would begin or end where no time is.
  v_earliest constant timestamptz := '4713-01-01 00:00:00+00 BC';
  v_latest constant timestamptz := '294240-01-01 00:00:00+00';
  v_every text := (select o.value from audit.option as o where o.name = 'partition_interval');
  v_around record;
  v_begin timestamptz;
  v_end timestamptz;
  v_cuts timestamptz[];
  v_cut timestamptz;
  v_at timestamptz;
  v_columns text;
begin
  if add_interval.moment < v_earliest or add_interval.moment >= v_latest then
    return 0;
  end if;
  -- As audit.maintain() does.
  lock table audit.option in share row exclusive mode;
  v_begin := date_trunc(v_every, add_interval.moment);
  v_end := audit.interval_after(add_interval.moment);
  select * into v_around
    from audit.partition_list() as l
    where l.lower_bound <= add_interval.moment and l.upper_bound > add_interval.moment;
  if not found then
    perform audit.add_piece(
      greatest(v_begin, (select max(l.upper_bound) from audit.partition_list() as l
                         where l.upper_bound <= add_interval.moment)),
      least(v_end, (select min(l.lower_bound) from audit.partition_list() as l
                    where l.lower_bound > add_interval.moment)));
    return 1;
  end if;
  if v_around.lower_bound >= v_begin and v_around.upper_bound <= v_end then
    return 0;
  end if;

  execute format('alter table audit.log detach partition audit.%I', v_around.partition);
  delete from audit.closed_partition as c where c.partition = v_around.partition;
  execute format(
    'select array_agg(c) from (select distinct date_trunc(%L, occurred_at) as c from audit.%I '
    'where occurred_at >= %L and occurred_at < %L order by 1 desc limit 300) as c',
    v_every, v_around.partition, v_earliest, v_latest) into v_cuts;
  if v_cuts is null and audit.is_partition_empty(v_around.partition) then
    execute format('drop table audit.%I', v_around.partition);
  else
    execute format('alter table audit.%I rename to moving', v_around.partition);
  end if;
  v_at := v_around.lower_bound;
  for v_cut in select distinct c from unnest(v_cuts || v_begin) as c order by c loop
    v_begin := greatest(v_cut, v_around.lower_bound);
    v_end := least(audit.interval_after(v_cut), v_around.upper_bound);
    if v_at < v_begin then
      perform audit.add_piece(v_at, v_begin);
    end if;
    perform audit.add_piece(v_begin, v_end);
    v_at := v_end;
  end loop;
  if v_at < v_around.upper_bound then
    perform audit.add_piece(v_at, v_around.upper_bound);
  end if;
  if to_regclass('audit.moving') is not null then
    select string_agg(quote_ident(a.attname), ', ') into v_columns
      from pg_attribute as a
      where a.attrelid = 'audit.log'::regclass and a.attnum > 0 and not a.attisdropped;
    execute format('insert into audit.log (%1$s) select %1$s from audit.moving', v_columns);
    drop table audit.moving;
  end if;
  return 1;
end;
$$;

revoke all on function audit.add_interval(timestamptz) from public;

comment on function audit.add_interval(timestamptz) is
  'Public. Makes a partition for the interval of a time alone; returns 1, or 0 where there is one.';

-- Partitions for a span of the log that has none: one for each interval as long as they are wanted,
-- then spare ones, of a year at most. Rows fall into spares only if maintenance is forgotten. What is
-- beyond them, before the rows of a clock that was ahead, is one; so is what is long past, between
-- rows of history. What has the name of a partition was detached by somebody, who will not want it
-- back.
create or replace function audit.fill_log(
  lower_bound timestamptz,
  upper_bound timestamptz,
  wanted_until timestamptz,
  spares_until timestamptz
)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_from timestamptz := fill_log.lower_bound;
  v_to timestamptz;
  v_name text;
  v_added integer := 0;
begin
  while v_from < fill_log.upper_bound loop
    if fill_log.upper_bound < now() and fill_log.upper_bound > v_from + interval '20 years' then
      v_to := fill_log.upper_bound;
    elsif v_from < fill_log.wanted_until then
      v_to := audit.interval_after(v_from);
    elsif v_from >= fill_log.spares_until then
      v_to := fill_log.upper_bound;
    else
      v_to := date_trunc('year', v_from) + interval '1 year';
    end if;
    v_to := least(v_to, fill_log.upper_bound);
    v_name := audit.partition_name(v_from, v_to);
    if to_regclass(format('audit.%I', v_name)) is null then
      perform audit.add_partition(v_name, v_from::text, v_to::text);
      v_added := v_added + 1;
    end if;
    v_from := v_to;
  end loop;
  return v_added;
end;
$$;

revoke all on function audit.fill_log(timestamptz, timestamptz, timestamptz, timestamptz) from public;

comment on function audit.fill_log(timestamptz, timestamptz, timestamptz, timestamptz) is
  'Adds partitions of the log between two times; returns how many.';

-- A spare that would rather be partitions of the interval, far enough ahead that no row is due; or
-- else the partition for all that is to come, where the spares do not reach far enough.
create or replace function audit.spare_to_split(wanted_until timestamptz, spares_until timestamptz)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_spare text;
begin
  select l.partition into v_spare
    from audit.partition_list() as l
    where l.lower_bound >= now() + interval '1 day'
      and l.lower_bound < spare_to_split.wanted_until
      and l.upper_bound > audit.interval_after(l.lower_bound)
      and audit.is_partition_empty(l.partition)
    order by l.lower_bound
    limit 1;
  if not found then
    select l.partition into v_spare
      from audit.partition_list() as l
      where l.upper_bound = 'infinity' and l.lower_bound < spare_to_split.spares_until
        and l.lower_bound >= now() + interval '1 day'
        and audit.is_partition_empty(l.partition);
  end if;
  return v_spare;
end;
$$;

revoke all on function audit.spare_to_split(timestamptz, timestamptz) from public;

comment on function audit.spare_to_split(timestamptz, timestamptz) is
  'The empty partition that is to make room for others; null where there is none.';

-- Keeps partitions of the log ahead of time, one step a call. Only a step that takes an empty
-- partition out of the way locks the log: for milliseconds, and it gives up at once where it would
-- have to wait, since writers and readers would queue behind it.
create or replace function audit.maintain(ahead interval default '24 months')
  returns integer
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
  set timezone = 'UTC'
  set lock_timeout = '20ms'
as $$
declare
  v_every text := (select o.value from audit.option as o where o.name = 'partition_interval');
  v_now timestamptz := date_trunc(v_every, now());
  v_until timestamptz := audit.interval_after(now() + ahead);
  -- Spares reach so far that log_future stays empty though maintenance be forgotten for years.
  v_spares_until timestamptz := date_trunc('year', greatest(now(), v_until - interval '3 years'))
    + interval '6 years';
  v_gap record;
  v_added integer;
  v_spare text;
begin
  -- One at a time: a table of the log's own, which nobody but its owner can lock.
  lock table audit.option in share row exclusive mode;
  if not exists (select from audit.partition_list()) then
    perform audit.add_piece('-infinity', v_now);
    perform audit.add_piece(v_spares_until, 'infinity');
  elsif to_regclass('audit.log_future') is null
    and not exists (select from audit.partition_list() as l where l.upper_bound = 'infinity')
  then
    perform audit.add_piece(
      greatest(v_spares_until, (select max(l.upper_bound) from audit.partition_list() as l)),
      'infinity');
    return 1;
  end if;

  for v_gap in
    select p.upper_bound as lower_bound, p.next as upper_bound
    from (select l.upper_bound, lead(l.lower_bound) over (order by l.lower_bound) as next
          from audit.partition_list() as l) as p
    where p.upper_bound < p.next
    order by p.upper_bound
  loop
    v_added := audit.fill_log(v_gap.lower_bound, v_gap.upper_bound, v_until,
      v_spares_until);
    if v_added > 0 then
      return v_added;
    end if;
  end loop;

  v_spare := audit.spare_to_split(v_until, v_spares_until);
  if v_spare is null then
    return 0;
  end if;
  execute format('alter table audit.log detach partition audit.%I', v_spare);
  if not audit.is_partition_empty(v_spare) then
    raise exception 'rows have come into audit.%', v_spare
      using errcode = '40001', hint = 'Call audit.maintain() again.';
  end if;
  execute format('drop table audit.%I', v_spare);
  if v_spare = 'log_future' then
    perform audit.add_partition('log_future', v_spares_until::text, 'maxvalue');
  end if;
  return 1;
exception
  when lock_not_available then
    perform audit.gave_up(array['audit.option', 'audit.log']);
    return null;
end;
$$;

revoke all on function audit.maintain(interval) from public;

comment on function audit.maintain(interval) is
  'Public. Makes a step towards partitions for the given time ahead; returns the number of changes '
  'made, 0 when there is nothing left to do.';

-- A row that comes into a closed partition (an import, a correction by the owner) is in no summary:
-- readers look into the partition again, and maintenance closes it anew.
create or replace function audit.reopen_partition()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from audit.closed_partition as c where c.partition = tg_table_name) then
    delete from audit.closed_partition as c where c.partition = tg_table_name;
  end if;
  return new;
end;
$$;

revoke all on function audit.reopen_partition() from public;

comment on function audit.reopen_partition() is
  'Trigger that takes a partition off the list of the closed ones when a row comes into it.';

-- Which columns say what an item belongs to: foreign keys between tracked tables, as they are now.
-- Where a column had another name, records and changes have it by that, as layouts tell.
create or replace function audit.parent_columns()
  returns table (item_type text, column_name text, parent_type text, renamed jsonb)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select distinct k.item_type, a.attname::text, p.item_type, (
    select jsonb_object_agg(y.id, r.key)
    from audit.layout as y
    cross join lateral jsonb_each_text(y.renamed) as r
    where y.tracked_id = k.id and r.value = a.attname
  )
  from audit.tracked as k
  join pg_constraint as c
    on c.conrelid = k.target and c.contype = 'f' and cardinality(c.conkey) = 1
  join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
  join audit.tracked as p on p.target = c.confrelid and p.part is null
  where k.part is null
$$;

revoke all on function audit.parent_columns() from public;

comment on function audit.parent_columns() is
  'The columns that say what an item belongs to; renamed has their names in layouts of before.';

-- What rows of the log tell of what belongs to what: by the parents of rows, and by the foreign keys
-- written into them. An item that went from one parent to another belongs to both. Of a record only
-- the keys are read, which takes a third of the time of reading it whole; where its layout keeps one
-- as a type that jsonb shows in another way, or is of another table, it is read whole.
create or replace function audit.belonging_query(relation text, condition text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with parent as materialized (
    select k.*, row_number() over (order by k.item_type, k.column_name, k.parent_type) as n
    from audit.parent_columns() as k
  ), name as (
    select k.item_type, k.column_name as name from parent as k
    union
    select k.item_type, r.value from parent as k cross join lateral jsonb_each_text(k.renamed) as r
  ), layout as (
    -- How each layout of a table has the keys.
    select k.item_type, y.id,
      string_agg(coalesce('(r.r).' || quote_ident(e.c ->> 'name') || '::text', 'null'), ', ' order by k.n) as ids
    from parent as k
    join audit.tracked as t on t.item_type = k.item_type and t.part is null
    join audit.layout as y on y.tracked_id = t.id
    left join lateral jsonb_array_elements(y.columns) as e (c)
      on e.c ->> 'name' = coalesce(k.renamed ->> y.id::text, k.column_name)
    where to_regtype(format('audit.layout_%s', y.id)) is not null
    group by k.item_type, y.id
    having bool_and(e.c is null or (e.c ->> 'kept_as')::regtype = any (
      '{smallint,integer,bigint,uuid,text,character varying}'::regtype[]))
  ), kind as (
    select k.item_type,
      array_agg(k.parent_type order by k.n) as once,
      string_agg(format('l.changes -> %1$s ->> ''old'', l.changes -> %1$s ->> ''new''', v.key), ', '
        order by k.n) as pairs,
      string_agg(format('v.v -> %s ->> ''new''', v.key), ', ' order by k.n) as whole
    from parent as k
    cross join lateral (
      select case when k.renamed is null then quote_literal(k.column_name)
        else format('coalesce(%L::jsonb ->> l.layout::text, %L)', k.renamed, k.column_name)
        end as key
    ) as v
    group by k.item_type
  ), branch as (
    select
      format('when %L then case when l.row_values is null then %L else %L end::text[]', k.item_type,
        (select array_agg(o order by n, s) from unnest(k.once) with ordinality as u (o, n)
         cross join generate_series(1, 2) as s),
        k.once) as types,
      format(
E'when %L then case\n    when l.row_values is null then array[%s]::text[]%s\n    '
        'else (select array[%s]::text[] from (select audit.record_changes(l.layout, l.row_values, false) as v '
        'offset 0) as v) end',
        k.item_type, k.pairs,
        (select string_agg(format(E'\n    when l.layout = %1$s then (select array[%2$s]::text[] '
          'from (select l.row_values::audit.layout_%1$s as r offset 0) as r)', y.id, y.ids), ''
          order by y.id desc)
         from layout as y where y.item_type = k.item_type),
        k.whole) as ids
    from kind as k
  )
  select format(
'select l.account_id, l.item_type, l.item_id, l.parent_type, l.parent_id
from (
  select l.account_id, l.item_type, l.item_id,
    unnest(l.parent_type || %s) as parent_type, unnest(l.parent_id || %s) as parent_id
  from (
    select l.account_id, l.item_type, l.item_id, l.parent_type, l.parent_id, l.layout, l.changes,
      l.row_values
    from %s as l
    where (l.parent_id is not null
        or (l.row_values is not null or l.changes ?| %L) and l.item_type = any (%L))
      and (%s)
    offset 0
  ) as l
) as l
where l.parent_id is not null',
    coalesce('case l.item_type ' || (select string_agg(b.types, ' ') from branch as b) || ' end',
      'null::text[]'),
    coalesce('case l.item_type ' || (select string_agg(b.ids, E'\n  ') from branch as b) || ' end',
      'null::text[]'),
    belonging_query.relation,
    array(select distinct n.name from name as n),
    array(select distinct n.item_type from name as n),
    belonging_query.condition)
$$;

revoke all on function audit.belonging_query(text, text) from public;

comment on function audit.belonging_query(text, text) is
  'The query that reads what belongs to what from the log, or from a partition of it; an item may '
  'be in it more than once.';

-- The partitions of which audit.belonging tells all. A foreign key that came later is not in it
-- where the partition has rows of such items; nor may be what came in without the trigger that a
-- restore of data alone has not made.
create or replace function audit.summarised_partitions()
  returns table (partition text, lower_bound timestamptz, upper_bound timestamptz)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with parent as materialized (
    select k.item_type, k::text as described from audit.parent_columns() as k
  ), known as (
    select c.parent_columns,
      array(select p.item_type collate "C" from parent as p
            where p.described <> all (c.parent_columns)) as lacking
    from (select distinct c.parent_columns from audit.closed_partition as c) as c
  )
  select c.partition, c.lower_bound, c.upper_bound
  from audit.closed_partition as c
  join known as k on k.parent_columns = c.parent_columns
  join pg_class as r on r.relname = c.partition
  join pg_inherits as i on i.inhrelid = r.oid and i.inhparent = 'audit.log'::regclass
  where not c.item_types && k.lacking
    and exists (select from pg_trigger as t
                where t.tgrelid = r.oid and t.tgname = 'reopen_partition' and t.tgenabled = 'A')
$$;

revoke all on function audit.summarised_partitions() from public;

comment on function audit.summarised_partitions() is
  'The closed partitions of which audit.belonging has all that the foreign keys of now tell.';

-- Marks a partition as closed, with its summaries. No row may come in between: creating the trigger
-- waits for whoever writes there, and from then on such a row opens the partition again.
create or replace function audit.close_partition(partition text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_item_types text[];
begin
  execute format(
    'create or replace trigger reopen_partition before insert on audit.%I '
    'for each row execute function audit.reopen_partition()', close_partition.partition);
  execute format('alter table audit.%I enable always trigger reopen_partition',
    close_partition.partition);

  -- What was detached is closed no more.
  delete from audit.closed_partition as c
    where c.partition not in (select l.partition from audit.partition_list() as l);
  delete from audit.presence as p
    where p.partition not in (select c.partition from audit.closed_partition as c)
      or p.partition = close_partition.partition;
  execute format(
    'with counted as (insert into audit.presence (account_id, item_type, item_id, partition, rows) '
    'select l.account_id, i.item_type, i.item_id, %L, count(*) '
    'from audit.%I as l '
    'cross join lateral ('
    '  select '''', '''' '
    '  union select l.item_type, l.item_id '
    '  union select l.parent_type, l.parent_id where l.parent_id is not null'
    ') as i (item_type, item_id) '
    'group by l.account_id, i.item_type, i.item_id '
    'returning item_type) '
    'select array_agg(distinct c.item_type) from counted as c where c.item_type <> ''''',
    close_partition.partition, close_partition.partition)
    into v_item_types;

  delete from audit.belonging as b
    where b.partition not in (select c.partition from audit.closed_partition as c)
      or b.partition = close_partition.partition;
  execute format(
    'insert into audit.belonging (account_id, item_type, item_id, parent_type, parent_id, partition) '
    'select distinct l.*, %L from (%s) as l',
    close_partition.partition,
    audit.belonging_query(format('audit.%I', close_partition.partition), 'true'));

  insert into audit.closed_partition
      (partition, lower_bound, upper_bound, item_types, parent_columns)
    select l.partition, l.lower_bound, l.upper_bound, coalesce(v_item_types, '{}'),
      array(select k::text collate "C" from audit.parent_columns() as k order by 1)
    from audit.partition_list() as l
    where l.partition = close_partition.partition
    on conflict on constraint closed_partition_pkey do update
      set closed_at = default, item_types = excluded.item_types,
        parent_columns = excluded.parent_columns;
end;
$$;

revoke all on function audit.close_partition(text) from public;

comment on function audit.close_partition(text) is
  'Summarises a partition whose time is over in audit.presence and audit.belonging, and puts it '
  'on the list of those that are closed. Called by `auditdb maintain`.';

-- A view over the log says of a column what the log says of it.
create or replace function audit.copy_comments(source regclass, target regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_column record;
begin
  for v_column in
    select t.attname as name, col_description(s.attrelid, s.attnum) as description
    from pg_attribute as s
    join pg_attribute as t on t.attrelid = copy_comments.target and t.attname = s.attname
    where s.attrelid = copy_comments.source and s.attnum > 0 and not s.attisdropped
      and col_description(s.attrelid, s.attnum) is not null
  loop
    execute format('comment on column %s.%I is %L', target, v_column.name, v_column.description);
  end loop;
end;
$$;

revoke all on function audit.copy_comments(regclass, regclass) from public;

comment on function audit.copy_comments(regclass, regclass) is
  'Public. Gives the columns of a view the comments of the columns of the same name elsewhere.';

-- What readers read: the log, with the name of the action, and with created and deleted rows as
-- changes too, however they are kept. Columns are only ever added, at the end.
create or replace view audit.events with (security_invoker = true) as
select
  (select a.label from audit.action as a where a.action = l.action) as action_label,
  l.id,
  l.tx,
  l.occurred_at,
  l.account_id,
  l.action,
  l.item_type,
  l.item_id,
  l.item_label,
  l.parent_type,
  l.parent_id,
  l.actor_type,
  l.actor_id,
  l.actor_label,
  l.on_behalf_of_type,
  l.on_behalf_of_id,
  l.on_behalf_of_label,
  l.db_role,
  l.application,
  l.is_cascade,
  case when l.row_values is null then l.changes
    else audit.record_text(l.layout, l.row_values, l.is_deleted)::jsonb end as changes,
  l.context,
  l.moved,
  l.era,
  (select y.table_name from audit.layout as y where y.id = l.layout) as table_name,
  l.layout,
  trunc(extract(epoch from l.occurred_at) * 1000000)::text || '-' || l.id || '-' || l.tx as key
from audit.log as l;

revoke all on audit.events from public;

comment on view audit.events is
  'One row for each essential action: what was done, by whom, to what. Given account_id, items and '
  'pages are found by index; sort by occurred_at, id and tx.';
select audit.copy_comments('audit.log', 'audit.events');
comment on column audit.events.action_label is 'Name of the action for people.';
comment on column audit.events.table_name is
  'The table, with its schema, as it was called then; null in rows about no row of a table.';
comment on column audit.events.key is
  'The identity of the row as one text: microseconds since 1970, id and tx. No other row has it.';

-- The log field by field: one row for each column that an action changed.
create or replace view audit.changes with (security_invoker = true) as
select
  e.id,
  e.tx,
  e.occurred_at,
  e.account_id,
  e.action,
  e.item_type,
  e.item_id,
  e.item_label,
  e.parent_type,
  e.parent_id,
  e.actor_type,
  e.actor_id,
  e.actor_label,
  e.on_behalf_of_type,
  e.on_behalf_of_id,
  e.on_behalf_of_label,
  e.db_role,
  e.application,
  e.is_cascade,
  e.context,
  e.moved,
  (select a.label from audit.action as a where a.action = e.action) as action_label,
  c.column_name,
  c.old_value,
  c.new_value,
  c.is_redacted,
  e.era,
  (select y.table_name from audit.layout as y where y.id = e.layout) as table_name,
  e.layout,
  c.column_then,
  trunc(extract(epoch from e.occurred_at) * 1000000)::text || '-' || e.id || '-' || e.tx as key
from audit.log as e
cross join lateral (
  -- That a name may be another one now is behind a function of no cost to the planner: names are
  -- compared before values are. Most layouts have no such name, and are not looked up for it.
  select case when e.layout in (select y.id from audit.layout as y where y.renamed is not null)
      then audit.name_now((select y.renamed from audit.layout as y where y.id = e.layout), u.key)
      else u.key end,
    u.key, u.value ->> 'old', u.value ->> 'new',
    coalesce((u.value ->> 'redacted')::boolean, false)
  from jsonb_each(case when e.row_values is null then e.changes end) as u
  -- Equal pairs say which part of the item a row is about; they are no change. Equal is what was
  -- stored alike: 1.10 is not 1.1. A pair of nulls is one that JSON has no two nulls for: the value
  -- null of a column of type jsonb is not SQL's.
  where u.value -> 'old' is distinct from u.value -> 'new'
    or (u.value -> 'old')::text <> (u.value -> 'new')::text
    or u.value -> 'old' = 'null' or u.value ? 'redacted'
  union all
  -- Names come first, so that a record without a name that is asked for is not read; for whichever
  -- of its names, it is read once. Secrets have no place in it.
  select coalesce(y.renamed ->> n.name, n.name), n.name,
    case when e.is_deleted then r.shown[n.place] end,
    case when not e.is_deleted then r.shown[n.place] end,
    n.place > cardinality(y.names)
  from audit.layout as y
  cross join lateral unnest(y.names || y.secret) with ordinality as n (name, place)
  left join audit.record_values(e.layout, e.row_values) as r (shown) on true
  where e.row_values is not null and y.id = e.layout
) as c (column_name, column_then, old_value, new_value, is_redacted);

revoke all on audit.changes from public;

comment on view audit.changes is
  'One row for each column that an action changed, with old and new value. The history of a field: '
  'account_id, item_type, item_id and column_name, sorted by occurred_at, id and tx.';
select audit.copy_comments('audit.events', 'audit.changes');
comment on column audit.changes.column_name is
  'The column, or the path of a part''s column such as features/F1/max_consumption, by the name that '
  'it has now, or had last.';
comment on column audit.changes.column_then is 'The same as it was called then.';
comment on column audit.changes.old_value is 'Value before, as text; null where there was none.';
comment on column audit.changes.new_value is 'Value after, as text; null where there is none.';
comment on column audit.changes.table_name is
  'The table, with its schema, as it was called then; null in rows about no row of a table.';
comment on column audit.changes.is_redacted is 'Whether the values are secret and not in the log.';

-- A declared action in words, for the catalogue.
create or replace function audit.describe_rule(rule jsonb)
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select concat_ws(' ',
    case jsonb_typeof(rule -> 'on')
      when 'array' then
        (select string_agg(e.value, ', ') from jsonb_array_elements_text(rule -> 'on') as e)
      else rule ->> 'on'
    end,
    '(' || (select string_agg(c.value, ', ')
            from jsonb_array_elements_text(rule -> 'columns') as c) || ')',
    'when ' || (rule ->> 'when'),
    case when (rule -> 'grouped')::boolean then 'one row per item and statement' end)
$$;

revoke all on function audit.describe_rule(jsonb) from public;

comment on function audit.describe_rule(jsonb) is
  'Says in words when a declared action is recorded.';

-- The catalogue for analysts: what is recorded, and when; and what was, as far as it has a name.
create or replace view audit.actions with (security_invoker = true) as
select
  a.action,
  a.label,
  a.description,
  coalesce(d.item_types, e.item_types, '{}') as item_types,
  coalesce(d.recorded_on, '{}') as recorded_on,
  d.item_types is not null or e.item_types is not null as is_recorded
from audit.action as a
left join lateral (
  select
    array_agg(distinct t.item_type order by t.item_type) as item_types,
    array_agg(format('%s of %s', audit.describe_rule(r.rule), t.target)
      order by t.target::text, r.number) as recorded_on
  from audit.tracked as t
  cross join lateral jsonb_array_elements(t.actions) with ordinality as r (rule, number)
  where r.rule ->> 'action' = a.action
) as d on d.item_types is not null
-- What the engine itself records needs no declaration.
left join (
  values
    ('log_exported', '{log}'::text[]),
    ('log_imported', '{log}'),
    ('log_import_undone', '{log}'),
    ('table_truncated', '{table}'),
    ('tracking_started', '{table}'),
    ('tracking_changed', '{table}'),
    ('tracking_stopped', '{table}')
  union all
  select distinct k.item_type || '_baseline', array[k.item_type] from audit.tracked as k
) as e (action, item_types) on e.action = a.action;

revoke all on audit.actions from public;

comment on view audit.actions is
  'The catalogue: one row for each action that is recorded, or was and has a name.';
comment on column audit.actions.action is 'Code of the action, as it stands in the log.';
comment on column audit.actions.label is 'Name of the action for people.';
comment on column audit.actions.description is 'What the action means, in a sentence.';
comment on column audit.actions.item_types is
  'Kinds of items that the action is about; empty where no table declares it any more.';
comment on column audit.actions.recorded_on is
  'The statements that are recorded so: event, columns, condition and table.';
comment on column audit.actions.is_recorded is
  'Whether it can still happen; false where no table declares it any more.';

-- Null for whom the summary might not show all that the log shows: then every partition counts.
create or replace function audit.presence_of(
  account_id text,
  item_type text default '',
  item_id text default ''
)
  returns table (lower_bound timestamptz, upper_bound timestamptz, rows bigint)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not has_table_privilege('audit.presence', 'select')
    or not has_table_privilege('audit.closed_partition', 'select') then
    return;
  end if;
  -- Others may be shown rows of the log by a policy that somebody added, which presence lacks; and
  -- with such a policy there, presence shows nothing.
  if row_security_active('audit.presence')
    and (audit.has_own_policies()
      or coalesce(not pg_has_role(to_regrole('audit_exporter'), 'usage'), true)
        and (coalesce(not pg_has_role(to_regrole('audit_reader'), 'usage'), true)
          or presence_of.account_id <> coalesce(current_setting('audit.account_id', true), '')))
  then
    return;
  end if;
  return query
    select c.lower_bound, c.upper_bound, coalesce(p.rows, 0)
    from audit.closed_partition as c
    left join audit.presence as p
      on p.partition = c.partition
      and p.account_id = presence_of.account_id
      and p.item_type = presence_of.item_type
      and p.item_id = presence_of.item_id;
end;
$$;

comment on function audit.presence_of(text, text, text) is
  'Public. How many rows of an account, or of one item of it, each closed partition has. '
  'Partitions that are not named may have rows.';

-- Where reading newest first begins: a query with this bound leaves the empty partitions ahead out
-- when it is planned, which would be most of what it locks. A partition of a month says by its name
-- that it is over; the others are asked for their size, which takes no lock that is kept.
create or replace function audit.horizon(not_before timestamptz)
  returns timestamptz
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
  select greatest(not_before, max(
    coalesce(substring(b.text from 'TO \(''([^'']+)''\)')::timestamptz, 'infinity')))
  from (
    select
      c.oid,
      c.relpartbound,
      case
        when c.relname ~ '^log_\d{4}_\d\d$'
          and c.relname < 'log_' || to_char(not_before, 'YYYY_MM') then false
        else pg_relation_size(c.oid) > 0
      end as is_wanted
    from pg_inherits as i
    join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'audit.log'::regclass
  ) as c
  cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as text) as b
  where c.is_wanted
$$;

comment on function audit.horizon(timestamptz) is
  'Public. A time that all rows of the log are before: the given one, or a later one where a clock '
  'was ahead. Bounds the first page, so that partitions ahead cost it nothing.';

-- Which rows of a tracked table the log has whole: created while it was tracked as it is now, or
-- told by a baseline since, and not deleted after that. Rows of an import are another database's.
create or replace function audit.told_rows(tracked_id integer, item_ids text[])
  returns table (item_id text, key jsonb)
  language plpgsql
  stable
  -- Asked by a function that can write to the log and not read it.
  security definer
  set search_path = pg_catalog, pg_temp
  -- One index probe for each item, whatever the planner takes the log for.
  set enable_seqscan = off
  set enable_bitmapscan = off
  set jit = off
  set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  t audit.tracked;
  v_layouts integer[];
  v_since timestamptz;
  v_until constant timestamptz :=
    audit.horizon(date_trunc('month', now(), 'UTC') + interval '1 month');
  v_is_item boolean;
  v_keys text[];
begin
  select * into strict t from audit.tracked as k where k.id = told_rows.tracked_id;
  v_layouts := audit.whole_layouts(t);
  v_is_item := t.item_id is null and t.part is null
    and not exists (select from jsonb_array_elements(t.actions) as r
                    where (r -> 'grouped')::boolean);
  v_keys := array(select k.name from audit.baseline_key_columns(t) as k order by k.place);
  select min(y.made_at) into v_since from audit.layout as y where y.id = any (v_layouts);
  -- What was emptied is told of no single row.
  select greatest(v_since, max(l.occurred_at)) into v_since
    from audit.log as l
    where l.item_id = audit.name_of(t.target) and l.item_type = 'table' and l.account_id = ''
      and l.action = 'table_truncated' and l.occurred_at >= v_since and l.occurred_at < v_until;
  return query
    select r.item_id, r.key
    from (
      select l.item_id, l.occurred_at, l.is_deleted, k.key
      from unnest(told_rows.item_ids) as i (id)
      cross join lateral (
        select o.*
        from audit.log as o
        where o.item_id = i.id and o.item_type = t.item_type
          and o.layout = any (v_layouts) and o.era > 0
          and o.occurred_at >= v_since and o.occurred_at < v_until
        offset 0
      ) as l
      cross join lateral (
        select null::jsonb as key
        where v_is_item and l.row_values is not null
        union all
        select jsonb_agg(v.shown[n.place] order by u.place)
        from audit.record_values(l.layout, l.row_values) as v (shown)
        cross join unnest(v_keys) with ordinality as u (name, place)
        left join audit.layout as y on y.id = l.layout
        left join unnest(y.names) with ordinality as n (name, place) on n.name = u.name
        where not v_is_item and l.row_values is not null
        having count(*) > 0
        union all
        select jsonb_agg(e.value -> case when l.is_deleted then 'old' else 'new' end
          order by array_position(v_keys, split_part(e.key, '/', 3)))
        from jsonb_each(l.changes) as e
        where not v_is_item and l.row_values is null
          and split_part(e.key, '/', 3) = any (v_keys)
          and (e.value ? 'old') = l.is_deleted
        group by split_part(e.key, '/', 2)
      ) as k
    ) as r
    group by r.item_id, r.key
    having max(r.occurred_at) filter (where not r.is_deleted)
      > coalesce(max(r.occurred_at) filter (where r.is_deleted), '-infinity');
end;
$$;

revoke all on function audit.told_rows(integer, text[]) from public;

comment on function audit.told_rows(integer, text[]) is
  'Of these items, those that the log has whole; with the key of their row where an item has '
  'several.';

-- The page of one item: what was done to it and to its parts, newest first.
create or replace function audit.item_log(
  item_type text,
  item_id text,
  account_id text default null,
  baseline boolean default false
)
  returns setof audit.events
  language sql
  stable
as $$
  select e.*
  from audit.events as e
  where (
      (e.item_type = item_log.item_type and e.item_id = item_log.item_id)
      or (e.parent_type = item_log.item_type and e.parent_id = item_log.item_id)
    )
    and (item_log.account_id is null or e.account_id = item_log.account_id)
    and (item_log.baseline or e.action <> e.item_type || '_baseline')
  order by e.occurred_at desc, e.id desc, e.tx desc
$$;

revoke all on function audit.item_log(text, text, text, boolean) from public;

comment on function audit.item_log(text, text, text, boolean) is
  'Public. The events of one item and of its parts, newest first; with its account it is found by '
  'index.';

-- The way back from a key to its row. The time in it says which partition, the transaction or, where
-- it is given, the account which part of that.
create or replace function audit.event(key text, account_id text default null)
  returns setof audit.events
  language sql
  stable
as $$
  select e.*
  from audit.events as e
  cross join (
    select regexp_match(event.key, '^(-?\d{1,19})-(-?\d{1,19})-(-?\d{1,19})$')::numeric[] as parts
  ) as k
  -- A number that no time, id or transaction can be is the key of no row. In a timestamp without
  -- zone every step is immutable, so that partitions are left out when the query is planned; counted
  -- from 2000 on, the last times are intervals too.
  where e.occurred_at = case
      when k.parts[1] between -210866803200000000 and 9224318015999999999 then
        (timestamp '2000-01-01'
          + div(k.parts[1] - 946684800000000, 3600000000)::float8 * interval '1 hour'
          + mod(k.parts[1] - 946684800000000, 3600000000)::float8 * interval '1 microsecond')
        at time zone 'UTC' end
    and e.id = case when abs(k.parts[2]) < 9223372036854775808 then k.parts[2]::bigint end
    and e.tx = case when abs(k.parts[3]) < 9223372036854775808 then k.parts[3]::bigint end
    and (event.account_id is null or e.account_id = event.account_id)
$$;

revoke all on function audit.event(text, text) from public;

comment on function audit.event(text, text) is
  'Public. The event with a key (audit.events.key), found by the partition of its time; with its '
  'account by index.';

-- Everything under an item, whatever became of it: told by the log alone, by the parents of its
-- rows and by the foreign keys that were written into them. Of closed partitions a summary tells it,
-- so that of an account only the rows of the months that are open are read.
create or replace function audit.tree_log(
  item_type text,
  item_id text,
  account_id text default null,
  baseline boolean default false
)
  returns setof audit.events
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
  -- Compiling a plan over all partitions takes longer than it spares.
  set jit = off
as $$
declare
  v_account text := case when tree_log.account_id is null then 'true'
    else format('l.account_id = %L', tree_log.account_id) end;
  -- Partitions ahead are left out.
  v_until timestamptz := audit.horizon(date_trunc('month', now(), 'UTC') + interval '1 month');
  v_summarised text[] := '{}';
  v_open text := 'true';
  v_told text := '';
  v_types text[];
  v_ids text[];
begin
  -- For whom the summary shows as much as the log does.
  if has_table_privilege('audit.belonging', 'select')
    and has_table_privilege('audit.closed_partition', 'select')
    and (not row_security_active('audit.belonging')
      or not audit.has_own_policies()
        and coalesce(pg_has_role(to_regrole('audit_exporter'), 'usage')
          or pg_has_role(to_regrole('audit_reader'), 'usage'), false))
  then
    v_told := format(
'
    union all
    select l.item_type, l.item_id
    from audit.belonging as l
    where l.parent_id = t.item_id and l.parent_type = t.item_type and l.partition = any ($3)
      and %s', v_account);
    with summarised as (
      select * from audit.summarised_partitions()
    ), gap (since, until) as (
      select coalesce(lag(s.upper_bound) over (order by s.lower_bound), '-infinity'), s.lower_bound
      from summarised as s
      union all
      select coalesce(max(s.upper_bound), '-infinity'), v_until from summarised as s
    )
    select coalesce(array_agg(s.partition), '{}'), coalesce((
        select string_agg(format('(l.occurred_at >= %L and l.occurred_at < %L)', g.since, g.until),
          ' or ' order by g.since)
        from gap as g
        where g.since < g.until), 'false')
      into v_summarised, v_open
      from summarised as s;
  end if;

  execute format(
'with recursive link as materialized (
  select l.parent_type, l.parent_id, array_agg(l.item_type) as types, array_agg(l.item_id) as ids
  from (%s) as l
  group by l.parent_type, l.parent_id
), tree as (
  select $1 collate "C" as item_type, $2 collate "C" as item_id
  union
  select c.item_type, c.item_id
  from (
    select t.item_type, t.item_id, k.types, k.ids
    from tree as t
    left join link as k on k.parent_type = t.item_type and k.parent_id = t.item_id
  ) as t
  cross join lateral (
    select k.item_type, k.item_id from unnest(t.types, t.ids) as k (item_type, item_id)%s
  ) as c
)
select array_agg(t.item_type), array_agg(t.item_id) from tree as t',
    audit.belonging_query('audit.log', format('%s and (%s)', v_account, v_open)), v_told)
    into v_types, v_ids
    using tree_log.item_type, tree_log.item_id, v_summarised;

  -- Without statistics the planner takes items to have many more rows than they have.
  return query execute format(
'select e.*
from unnest($1, $2) as t (item_type, item_id)
cross join lateral (
  select l.*
  from audit.events as l
  where l.item_id = t.item_id and l.item_type = t.item_type and l.occurred_at < %L and %s%s
  %s
) as e
order by e.occurred_at desc, e.id desc',
    v_until, v_account,
    case when tree_log.baseline then '' else ' and l.action <> l.item_type || ''_baseline''' end,
    case when cardinality(v_ids) < 10000 then 'offset 0' end)
    using v_types, v_ids;
end;
$$;

revoke all on function audit.tree_log(text, text, text, boolean) from public;

comment on function audit.tree_log(text, text, text, boolean) is
  'Public. The events of an item and of everything that ever belonged to it, newest first.';

-- A type with its schema, without its modifier: what a column takes has it already.
create or replace function audit.type_name(type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  -- Behind a schema no word is reserved.
  select case when n.nspname = 'pg_catalog' and e.typname ~ '^[a-z_][a-z0-9_]*$'
      then 'pg_catalog.' || e.typname
      else format('%I.%I', n.nspname, e.typname) end
    || case when e.oid <> t.oid then '[]' else '' end
  from pg_type as t
  join pg_type as e on e.oid = coalesce(
    (select i.oid from pg_type as i where i.typarray = t.oid), t.oid)
  join pg_namespace as n on n.oid = e.typnamespace
  where t.oid = type_name.type
$$;

revoke all on function audit.type_name(oid) from public;

comment on function audit.type_name(oid) is 'The name of a type with its schema.';

-- The text of an array that the log keeps as JSON; null where JSON does not tell what it was.
create or replace function audit.undo_array(value jsonb, kept_as text)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_item jsonb;
  v_text text;
  v_texts text[] := '{}';
  v_is_document constant boolean := kept_as = 'pg_catalog._jsonb';
begin
  for v_item in select jsonb_array_elements(undo_array.value) loop
    v_text := case
      when v_is_document and jsonb_typeof(v_item) in ('null', 'array') then null
      when jsonb_typeof(v_item) = 'null' then 'NULL'
      when jsonb_typeof(v_item) = 'array' then audit.undo_array(v_item, kept_as)
      else '"' || replace(replace(
        case when v_is_document then v_item::text else v_item #>> '{}' end,
        '\', '\\'), '"', '\"') || '"' end;
    if v_text is null then
      return null;
    end if;
    v_texts := v_texts || v_text;
  end loop;
  return '{' || array_to_string(v_texts, ',') || '}';
end;
$$;

revoke all on function audit.undo_array(jsonb, text) from public;

comment on function audit.undo_array(jsonb, text) is
  'The text of an array of which the log has the JSON; null where JSON does not tell what it was.';

-- A value of the log as its type writes it: what JSON writes otherwise is read by the type once.
create or replace function audit.undo_text(value jsonb, kept_as text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_text text;
begin
  if kept_as = 'pg_catalog.jsonb' then
    return undo_text.value::text;
  end if;
  v_text := undo_text.value #>> '{}';
  if v_text is null then
    return null;
  elsif jsonb_typeof(undo_text.value) = 'array' then
    v_text := case when kept_as in ('pg_catalog.int2vector', 'pg_catalog.oidvector')
      then (select coalesce(string_agg(e.item, ' ' order by e.n), '')
            from jsonb_array_elements_text(undo_text.value) with ordinality as e (item, n))
      else audit.undo_array(undo_text.value, kept_as) end;
    if v_text is not null then
      execute format('select concat(%L::%s)', v_text, kept_as) into v_text;
    end if;
    return v_text;
  end if;
  return case replace(kept_as, '"', '')
    when 'pg_catalog.timestamptz' then concat(v_text::timestamptz)
    when 'pg_catalog.timestamp' then concat(v_text::timestamp)
    when 'pg_catalog.float8' then concat(v_text::float8)
    when 'pg_catalog.float4' then concat(v_text::float4)
    when 'pg_catalog.bool' then concat(v_text::bool)
    else v_text end;
end;
$$;

revoke all on function audit.undo_text(jsonb, text) from public;

comment on function audit.undo_text(jsonb, text) is
  'The text of a value of which the log has the JSON; null where there was none, or JSON does not '
  'tell what it was.';

-- The rows of the log that are undone: of a transaction, of one event, or of an item since a time.
create or replace function audit.undo_rows(
  tx bigint, era integer, event text, item_type text, item_id text, at timestamptz
)
  returns setof audit.undo_row
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_eras text;
begin
  if num_nonnulls(tx, event, at) <> 1 or num_nonnulls(item_type, item_id, at) not in (0, 3)
    or (era is not null and tx is null)
  then
    raise exception 'what to undo is one of three: a transaction, an event, or an item since a time'
      using errcode = 'invalid_parameter_value',
        hint = 'For example: audit.undo_plan(tx => 4711), audit.undo_plan(event => ''...''), '
          'audit.undo_plan(item_type => ''license'', item_id => ''42'', at => ''2026-03-01'').';
  elsif tx is not null then
    select string_agg(distinct l.era::text, ', ') into v_eras
      from audit.log as l
      where l.tx = undo_rows.tx and (undo_rows.era is null or l.era = undo_rows.era)
      having count(distinct l.era) > 1;
    if found then
      raise exception 'several transactions have the number %', tx
        using errcode = 'invalid_parameter_value',
          hint = format('Say which one: era is one of %s.', v_eras);
    end if;
    return query
      select row_number() over (order by l.occurred_at, l.id, l.tx), l.layout, l.row_values,
        l.changes, l.is_deleted, l.action::text, l.item_type::text, l.item_id::text,
        l.parent_id::text, l.account_id::text
      from audit.log as l
      where l.tx = undo_rows.tx and (undo_rows.era is null or l.era = undo_rows.era)
        -- That an item is another one now is told on both sides.
        and not coalesce(l.moved ? 'to', false);
  elsif event is not null then
    return query
      select row_number() over (order by l.occurred_at, l.id, l.tx), l.layout, l.row_values,
        l.changes, l.is_deleted, l.action::text, l.item_type::text, l.item_id::text,
        l.parent_id::text, l.account_id::text
      from audit.event(undo_rows.event) as e
      join audit.log as l on l.occurred_at = e.occurred_at and l.id = e.id and l.tx = e.tx;
  else
    return query
      select row_number() over (order by l.occurred_at, l.id, l.tx), l.layout, l.row_values,
        l.changes, l.is_deleted, l.action::text, l.item_type::text, l.item_id::text,
        l.parent_id::text, l.account_id::text
      from audit.log as l
      where l.item_id = undo_rows.item_id and l.item_type = undo_rows.item_type
        and l.occurred_at > undo_rows.at;
  end if;
end;
$$;

revoke all on function audit.undo_rows(bigint, integer, text, text, text, timestamptz) from public;

comment on function audit.undo_rows(bigint, integer, text, text, text, timestamptz) is
  'The rows of the log of a transaction, of one event, or of an item after a time.';

-- Where the columns of a layout are now: by their numbers as long as the table is the same one, by
-- their names after a restore.
create or replace function audit.undo_columns(y audit.layout, target regclass)
  returns table (
    place bigint, name text, number smallint, kept_as text, is_secret boolean, is_set boolean,
    is_required boolean
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select c.place, c.name, a.attnum, c.kept_as, c.place is null,
    a.attgenerated = '', a.attnotnull
  from (
    select e.place, e.item ->> 'name', (e.item ->> 'number')::smallint, e.item ->> 'kept_as'
    from jsonb_array_elements(y.columns) with ordinality as e (item, place)
    union all
    select null, s.name, s.number, null
    from unnest(y.secret, y.secret_numbers) as s (name, number)
  ) as c (place, name, number, kept_as)
  left join pg_attribute as a on a.attrelid = undo_columns.target and not a.attisdropped
    and a.attnum > 0
    and case when y.relation = undo_columns.target then a.attnum = c.number
      else a.attname = coalesce(y.renamed ->> c.name, c.name) end
$$;

revoke all on function audit.undo_columns(audit.layout, regclass) from public;

comment on function audit.undo_columns(audit.layout, regclass) is
  'The columns of a layout, with the numbers that they have in their table now.';

-- The primary key of a tracked table: how its columns are compared, and where rows of the log that
-- do not have them among their changes tell them.
create or replace function audit.undo_key(t audit.tracked)
  returns table (number smallint, place bigint, ident text, type text, kept_as text, equals text,
    source text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select a.attnum, row_number() over (order by a.attnum), audit.quoted(a.attname),
    audit.type_name(a.atttypid), r.kept_as, k.equals,
    case
      when t.item_id is null then 'item_id'
      when audit.fold_name(t.item_id) = a.attname then 'item'
      when audit.fold_name(t.part_name) = a.attname then 'part'
      when audit.fold_name(t.parent_id) = a.attname then 'parent'
      when audit.fold_name(t.account) = a.attname then 'account' end
  from (
    select u.number, (
        select format('operator(%I.%s)', n.nspname, o.oprname)
        from pg_opclass as c
        join pg_amop as m on m.amopfamily = c.opcfamily and m.amopstrategy = 3
          and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
        join pg_operator as o on o.oid = m.amopopr
        join pg_namespace as n on n.oid = o.oprnamespace
        where c.oid = u.class) as equals
    from pg_index as i
    cross join unnest(i.indkey::smallint[], i.indclass::oid[]) as u (number, class)
    where i.indrelid = t.target and i.indisprimary
  ) as k
  join pg_attribute as a on a.attrelid = t.target and a.attnum = k.number
  cross join audit.record_value(audit.presented_type(a.atttypid), '') as r
$$;

revoke all on function audit.undo_key(audit.tracked) from public;

comment on function audit.undo_key(audit.tracked) is
  'The columns of the primary key of a tracked table, and what of a row of the log names them.';

-- The key of a row of a table, from a row of the log and the values in it.
create or replace function audit.undo_keyed(
  keys jsonb, vals jsonb, item_id text, parent_id text, account_id text, part text
)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select coalesce(
      vals ->> (k.item ->> 'number'),
      audit.undo_text(to_jsonb(case k.item ->> 'source'
        when 'item' then undo_keyed.item_id
        when 'parent' then undo_keyed.parent_id
        when 'account' then nullif(undo_keyed.account_id, '')
        when 'part' then replace(replace(undo_keyed.part, '~1', '/'), '~0', '~')
        when 'item_id' then case when jsonb_array_length(keys) = 1 then undo_keyed.item_id
          else replace(replace(split_part(undo_keyed.item_id, '/', k.n::int), '~1', '/'),
            '~0', '~') end
        end), k.item ->> 'kept_as'))
    from jsonb_array_elements(keys) with ordinality as k (item, n)
    order by k.n)
$$;

revoke all on function audit.undo_keyed(jsonb, jsonb, text, text, text, text) from public;

comment on function audit.undo_keyed(jsonb, jsonb, text, text, text, text) is
  'The primary key of the row that a row of the log is about; null where it does not tell a '
  'column.';

-- Rows that came or went, from the records of one layout.
create or replace function audit.undo_records(
  y audit.layout, target regclass, rows audit.undo_row[]
)
  returns table (place bigint, kind text, vals jsonb, missing jsonb)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_names text;
  v_values text;
  v_missing jsonb;
begin
  select coalesce(string_agg(quote_literal(c.number), ', ' order by c.place)
        filter (where c.is_set and not c.is_secret), ''),
      coalesce(string_agg(format('case when num_nulls((r.v).%1$I) = 0 then concat((r.v).%1$I) end',
        c.name), ', ' order by c.place) filter (where c.is_set and not c.is_secret), ''),
      coalesce(jsonb_object_agg(coalesce(c.number::text, c.name),
        case when c.is_secret then format('%s is secret', c.name)
          else format('%s was dropped', c.name) end)
        filter (where c.is_secret or c.number is null), '{}')
    into v_names, v_values, v_missing
    from (select * from audit.undo_columns(y, undo_records.target)) as c;
  return query execute format(
'select r.place, case when r.is_deleted then ''delete'' else ''insert'' end,
  jsonb_object(array[%s]::text[], array[%s]::text[]), $2
from (
  select l.place, l.is_deleted, l.row_values::audit.layout_%s as v
  from unnest($1) as l
  offset 0
) as r', v_names, v_values, y.id)
    using undo_records.rows, v_missing;
end;
$$;

revoke all on function audit.undo_records(audit.layout, regclass, audit.undo_row[]) from public;

comment on function audit.undo_records(audit.layout, regclass, audit.undo_row[]) is
  'What the records of a layout hold, by the numbers that the columns have now.';

-- Rows that the log tells column by column: what was updated, and parts, of which one row of the
-- log may tell several. A path names the part.
create or replace function audit.undo_entries(
  y audit.layout, target regclass, rows audit.undo_row[]
)
  returns table (
    place bigint, part text, kind text, old_values jsonb, new_values jsonb, missing jsonb
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_nestloop = off
as $$
  with col as materialized (
    select k.*, replace(k.kept_as, '"', '') in (
      'pg_catalog.text', 'pg_catalog.varchar', 'pg_catalog.int2',
      'pg_catalog.int4', 'pg_catalog.int8', 'pg_catalog.numeric', 'pg_catalog.uuid') as is_alike
    from audit.undo_columns(y, undo_entries.target) as k
  ), names as materialized (
    select array_agg(c.name) as list from col as c
  ), entry as (
    select l.place, p.found[1] as part, coalesce(p.found[2], e.key) as name, e.value
    from unnest(undo_entries.rows) as l
    cross join lateral jsonb_each(l.changes) as e
    cross join names as n
    cross join lateral (
      select case when e.key <> all (n.list)
        then regexp_match(e.key, '^[^/]*/([^/]*)/(.*)$') end as found
    ) as p
  ), value as (
    select e.place, e.part, e.name, c.number, coalesce(c.is_set, true) as is_set,
      e.value ? 'old' as has_old, e.value ? 'new' as has_new,
      case when v.is_null_of_json and not c.is_required then null else t.old end as old,
      case when e.value -> 'new' <> 'null' or c.is_required then t.new end as new,
      case when c.number is null then format('%s was dropped', e.name)
        when e.value ? 'redacted' then format('%s is secret', e.name)
        when v.is_null_of_json and not c.is_required
          then format('%s was null, in JSON or not', e.name)
        when t.old is null and e.value -> 'old' <> 'null'
          or t.new is null and e.value -> 'new' <> 'null'
          then format('%s cannot be told from its JSON', e.name) end as missing
    from entry as e
    left join col as c on c.name = e.name
    cross join lateral (
      select c.kept_as = 'pg_catalog.jsonb' and e.value -> 'old' = 'null' as is_null_of_json
    ) as v
    cross join lateral (
      -- What JSON writes as the type does needs no look at it.
      select
        case when c.is_alike then e.value ->> 'old'
          else audit.undo_text(e.value -> 'old', c.kept_as) end as old,
        case when c.is_alike then e.value ->> 'new'
          else audit.undo_text(e.value -> 'new', c.kept_as) end as new
    ) as t
  )
  select v.place, v.part,
    case when bool_or(v.has_old and v.has_new) then 'update'
      when bool_or(v.has_new) then 'insert'
      when bool_or(v.has_old) then 'delete'
      else 'update' end,
    coalesce(jsonb_object_agg(v.number, v.old)
      filter (where v.has_old and v.is_set and v.number is not null), '{}'),
    coalesce(jsonb_object_agg(v.number, v.new)
      filter (where v.has_new and v.is_set and v.number is not null), '{}'),
    coalesce(jsonb_object_agg(coalesce(v.number::text, v.name), v.missing)
      filter (where v.missing is not null and v.is_set), '{}')
  from value as v
  group by v.place, v.part
$$;

revoke all on function audit.undo_entries(audit.layout, regclass, audit.undo_row[]) from public;

comment on function audit.undo_entries(audit.layout, regclass, audit.undo_row[]) is
  'What changes of the log hold, by the numbers that the columns have now.';

-- What rows of the log say of rows of tables, in the order of doing.
create or replace function audit.undo_changes(rows audit.undo_row[])
  returns setof audit.undo_change
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_of_layout record;
  v_layout audit.layout;
  v_tracked audit.tracked;
  v_keys jsonb;
  v_numbers text[];
  v_unknown constant text := 'the log does not say which row it was';
begin
  for v_of_layout in
    select l.layout, l.row_values is not null as is_record,
      array_agg(l::audit.undo_row order by l.place) as rows
    from unnest(rows) as l
    group by 1, 2
  loop
    select y.* into v_layout from audit.layout as y where y.id = v_of_layout.layout;
    select k.* into v_tracked from audit.tracked as k where k.id = v_layout.tracked_id;
    select jsonb_agg(to_jsonb(k) order by k.place), array_agg(k.number::text)
      into v_keys, v_numbers
      from audit.undo_key(v_tracked) as k;
    if v_tracked.id is null or v_keys is null then
      return query
        select l.place, null::oid, null, array[l.item_type, l.item_id], null::text[], null::jsonb,
          null::jsonb, null::jsonb,
          case when v_of_layout.layout is null then format('%s is not undone', l.action)
            when v_tracked.id is null then format('%s is not tracked', v_layout.table_name)
            else format('%s has no primary key', v_layout.table_name) end
        from unnest(v_of_layout.rows) as l;
    elsif v_of_layout.is_record then
      return query
        select l.place, v_tracked.target::oid, r.kind,
          case r.kind when 'delete' then k.key end, case r.kind when 'insert' then k.key end,
          case r.kind when 'delete' then r.vals end, case r.kind when 'insert' then r.vals end,
          r.missing, case when array_position(k.key, null) > 0 then v_unknown end
        from audit.undo_records(v_layout, v_tracked.target, v_of_layout.rows) as r
        join unnest(v_of_layout.rows) as l on l.place = r.place
        cross join lateral audit.undo_keyed(
          v_keys, r.vals, l.item_id, l.parent_id, l.account_id, null) as k (key)
        -- A baseline says what was there: nothing was done.
        where l.action <> l.item_type || '_baseline';
    else
      return query
        select l.place, v_tracked.target::oid, e.kind,
          case when e.kind <> 'insert' then o.key end, case when e.kind <> 'delete' then n.key end,
          case when e.kind <> 'insert' then e.old_values end,
          case when e.kind <> 'delete' then e.new_values end,
          e.missing, case when array_position(o.key, null) > 0 and e.kind <> 'insert'
            or array_position(n.key, null) > 0 and e.kind <> 'delete' then v_unknown end
        from audit.undo_entries(v_layout, v_tracked.target, v_of_layout.rows) as e
        join unnest(v_of_layout.rows) as l on l.place = e.place
        cross join lateral audit.undo_keyed(
          v_keys, e.new_values, l.item_id, l.parent_id, l.account_id, e.part) as n (key)
        cross join lateral (
          select case when e.kind = 'insert' or not e.old_values ?| v_numbers then n.key
            else audit.undo_keyed(v_keys, e.new_values || e.old_values, l.item_id, l.parent_id,
              l.account_id, e.part) end
        ) as o (key);
    end if;
  end loop;
end;
$$;

revoke all on function audit.undo_changes(audit.undo_row[]) from public;

comment on function audit.undo_changes(audit.undo_row[]) is
  'What rows of the log say of rows of tables: keys and values before and after.';

-- Several changes of one row come to one. A row is followed through its keys: before another row
-- leaves a key and after another comes to it are different lives of that key.
create or replace function audit.undo_nets(changes audit.undo_change[])
  returns setof audit.undo_net
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_nestloop = off
as $$
  with recursive told as materialized (
    select row_number() over (order by c.place, c.old_key, c.new_key) as n, c.*
    from (
      select c.*,
        -- A row in several accounts is told once for each of them.
        lag(row(c.kind, c.old_key, c.new_key, c.old_values, c.new_values)) over (
          partition by c.target, coalesce(c.new_key, c.old_key) order by c.place)
        is not distinct from row(c.kind, c.old_key, c.new_key, c.old_values, c.new_values)
          as is_again
      from unnest(undo_nets.changes) as c
      where c.problem is null
    ) as c
    where not c.is_again
  ), touch as (
    select t.n, t.target, t.old_key as key, true as is_own,
      (t.new_key <> t.old_key)::int as leaves, 0 as comes
    from told as t
    where t.old_key is not null
    union all
    select t.n, t.target, t.new_key, t.old_key is null, 0, (t.old_key is not null)::int
    from told as t
    where t.new_key is not null and t.old_key is distinct from t.new_key
  ), life as materialized (
    select t.*, coalesce(sum(t.leaves) over (w rows between unbounded preceding and 1 preceding), 0)
      + sum(t.comes) over (w rows unbounded preceding) as number
    from touch as t
    window w as (partition by t.target, t.key order by t.n)
  ), link as materialized (
    select l.target, l.key, l.number, c.key as next_key, c.number as next_number
    from life as l
    join life as c on c.n = l.n and c.comes = 1
    where l.leaves = 1
  ), chain as (
    select k.target, k.key as first_key, k.number as first_number, k.next_key as key,
      k.next_number as number
    from link as k
    where not exists (select from link as p where p.target = k.target and p.next_key = k.key
                      and p.next_number = k.number)
    union all
    select c.target, c.first_key, c.first_number, k.next_key, k.next_number
    from chain as c
    join link as k on k.target = c.target and k.key = c.key and k.number = c.number
  ), member as materialized (
    select t.*, coalesce(c.first_key, l.key) as row_key,
      coalesce(c.first_number, l.number) as row_number
    from told as t
    join life as l on l.n = t.n and l.is_own
    left join chain as c on c.target = l.target and c.key = l.key and c.number = l.number
  ), net as materialized (
    select m.target, m.row_key, m.row_number, max(m.place) as place, count(*) as size,
      min(m.n) as first_n, max(m.n) as last_n
    from member as m
    group by 1, 2, 3
  ), value as materialized (
    select n.first_n, v.side,
      -- The first value before, the last one after.
      jsonb_object_agg(e.key, e.value order by case v.side when 'old' then -m.n else m.n end)
        as all_
    from net as n
    join member as m using (target, row_key, row_number)
    cross join lateral (values ('old', m.old_values), ('new', m.new_values), ('missing', m.missing))
      as v (side, vals)
    cross join lateral jsonb_each(v.vals) as e
    where n.size > 1
    group by 1, 2
  )
  select n.place, n.target, f.kind <> 'insert', l.kind <> 'delete', f.old_key, l.new_key,
    case when n.size = 1 then f.old_values else o.all_ end,
    case when n.size = 1 then f.new_values else w.all_ end,
    null::jsonb, coalesce(case when n.size = 1 then f.missing else i.all_ end, '{}'), '{}'::text[],
    null::text
  from net as n
  join told as f on f.n = n.first_n
  join told as l on l.n = n.last_n
  left join value as o on o.first_n = n.first_n and o.side = 'old'
  left join value as w on w.first_n = n.first_n and w.side = 'new'
  left join value as i on i.first_n = n.first_n and i.side = 'missing'
  where f.kind <> 'insert' or l.kind <> 'delete'
  union all
  select c.place, c.target, c.kind <> 'insert', c.kind <> 'delete', c.old_key, c.new_key,
    c.old_values, c.new_values, null, c.missing, '{}', c.problem
  from unnest(undo_nets.changes) as c
  where c.problem is not null
$$;

revoke all on function audit.undo_nets(audit.undo_change[]) from public;

comment on function audit.undo_nets(audit.undo_change[]) is
  'What became of each row of a table by these changes.';

-- How the rows are there now: their values, read with the rights of whoever asks, and what of it is
-- not as it was left.
create or replace function audit.undo_present(nets audit.undo_net[])
  returns setof audit.undo_net
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_of_table record;
  v_joined text;
  v_names text;
  v_values text;
begin
  return query
    select (n).* from unnest(nets) as n where n.problem is not null;
  for v_of_table in
    select n.target, array_agg(n::audit.undo_net) as nets
    from unnest(nets) as n
    where n.problem is null
    group by n.target
  loop
    select string_agg(
        format('t.%s %s (u.key)[%s]::%s', k.ident, k.equals, k.place, k.type), ' and ')
      into v_joined
      from audit.tracked as t
      cross join lateral audit.undo_key(t) as k
      where t.target = v_of_table.target;
    select string_agg(quote_literal(a.attnum), ', ' order by a.attnum),
        string_agg(format('case when num_nulls(%1$s) = 0 then concat(%1$s) end', r.value), ', '
          order by a.attnum)
      into v_names, v_values
      from pg_attribute as a
      cross join lateral audit.record_value(audit.presented_type(a.atttypid),
        audit.presented(a.atttypid, 't.' || audit.quoted(a.attname))) as r
      where a.attrelid = v_of_table.target and a.attnum > 0 and not a.attisdropped
        and a.attgenerated = ''
        and exists (select from unnest(v_of_table.nets) as n
                    where n.old_values ? a.attnum::text or n.new_values ? a.attnum::text);
    return query execute format(
'select u.place, u.target, u.was_there, u.stayed, u.old_key, u.new_key, u.old_values, u.new_values,
  p.present, u.missing,
  u.conflicts || case
    when u.stayed and p.present is null then array[''the row is gone'']
    when not u.stayed and p.present is not null then array[''the row is there again'']
    when u.stayed then array(
      select a.attname || '' was changed since''
      from jsonb_each_text(u.new_values) as e
      join pg_attribute as a on a.attrelid = u.target and a.attnum = e.key::smallint
      where p.present ->> e.key is distinct from e.value and not u.missing ? e.key
        -- Which null it was, JSON does not tell.
        and not (a.atttypid = ''jsonb''::regtype
          and coalesce(p.present ->> e.key, ''null'') = coalesce(e.value, ''null''))
        and (not u.was_there or e.value is distinct from u.old_values ->> e.key
          or not u.old_values ? e.key)
      order by a.attnum)
    else ''{}'' end,
  u.problem
from (select n.*, case when n.stayed then n.new_key
        -- A row that gives the key back is no obstacle.
        when n.old_key not in (select m.new_key from unnest($1) as m where m.stayed)
        then n.old_key end as key
      from unnest($1) as n) as u
left join lateral (
  select jsonb_object(array[%s]::text[], array[%s]::text[]) as present
  from %s as t
  where %s
) as p on true',
      v_names, v_values, audit.name_of(v_of_table.target), v_joined)
      using v_of_table.nets;
  end loop;
end;
$$;

revoke all on function audit.undo_present(audit.undo_net[]) from public;

comment on function audit.undo_present(audit.undo_net[]) is
  'Adds to rows that are undone their present values, and what was changed since.';

-- How far below other tables a table is: rows of a lower number are there before rows of a higher
-- one. Foreign keys in a circle end the counting.
create or replace function audit.undo_levels(targets oid[])
  returns table (target oid, number integer)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive link as materialized (
    select distinct c.conrelid as child, c.confrelid as parent
    from pg_constraint as c
    where c.contype = 'f' and c.conrelid <> c.confrelid
      and c.conrelid = any (undo_levels.targets) and c.confrelid = any (undo_levels.targets)
  ), level as (
    select u.target, 0 as number
    from unnest(undo_levels.targets) as u (target)
    union
    select k.child, l.number + 1
    from level as l
    join link as k on k.parent = l.target
    where l.number < cardinality(undo_levels.targets)
  )
  select l.target, max(l.number) from level as l group by 1
$$;

revoke all on function audit.undo_levels(oid[]) from public;

comment on function audit.undo_levels(oid[]) is
  'The order of tables by the foreign keys among them.';

-- A row that comes back needs each column that may not be null and has no default.
create or replace function audit.undo_lacking(nets audit.undo_net[])
  returns audit.undo_net[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array_agg((n.place, n.target, n.was_there, n.stayed, n.old_key, n.new_key, n.old_values,
    n.new_values, n.present, n.missing, n.conflicts,
    case when n.problem is null and n.was_there and not n.stayed then (
      select format('a row needs %s', string_agg(a.attname, ', ' order by a.attnum))
      from pg_attribute as a
      where a.attrelid = n.target and a.attnum > 0 and a.attnotnull and not a.atthasdef
        and a.attidentity = '' and not a.attisdropped
        and (not n.old_values ? a.attnum::text or n.missing ? a.attnum::text)
      having count(*) > 0)
    else n.problem end)::audit.undo_net)
  from unnest(undo_lacking.nets) as n
$$;

revoke all on function audit.undo_lacking(audit.undo_net[]) from public;

comment on function audit.undo_lacking(audit.undo_net[]) is
  'Says of rows that come back which of their columns the log does not have and they need.';

-- Rows that would refer to what is not there, nor comes back with them.
create or replace function audit.undo_orphans(
  nets audit.undo_net[], child oid, parent oid, parent_name text, child_numbers text[],
  parent_numbers text[], to_parent text
)
  returns audit.undo_net[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_nets audit.undo_net[];
begin
  execute format(
'with net as materialized (
  select row_number() over () as i, n.* from unnest($1) as n
), used as materialized (
  select n.i, array(
    select case when n.old_values ? c.k then n.old_values ->> c.k else n.present ->> c.k end
      from unnest($4) with ordinality as c (k, i) order by c.i) as vals
  from net as n
  where n.target = $2 and n.problem is null and n.was_there
    and (not n.stayed or exists (select from unnest($4) as c (k)
      where n.old_values ->> c.k is distinct from n.new_values ->> c.k))
), back as materialized (
  select array(select n.old_values ->> c.k
    from unnest($5) with ordinality as c (k, i) order by c.i) as vals
  from net as n
  where n.target = $3 and n.problem is null and n.was_there
), orphan as materialized (
  select u.i, u.vals
  from used as u
  where array_position(u.vals, null) is null
    and not exists (select from %s as p where %s)
    and not exists (select from back as b where b.vals = u.vals)
)
select array_agg((n.place, n.target, n.was_there, n.stayed, n.old_key, n.new_key, n.old_values,
    n.new_values, n.present, n.missing,
    n.conflicts || case when n.stayed then o.message end,
    coalesce(n.problem, case when not n.stayed then o.message end))::audit.undo_net)
from net as n
left join lateral (
  select format(''%%s %%s is not there'', $6, array_to_string(o.vals, ''/'')) as message
  from orphan as o where o.i = n.i
) as o on true', parent_name, to_parent)
    into v_nets
    using nets, child, parent, child_numbers, parent_numbers, parent_name;
  return v_nets;
end;
$$;

revoke all on function
  audit.undo_orphans(audit.undo_net[], oid, oid, text, text[], text[], text) from public;

comment on function audit.undo_orphans(audit.undo_net[], oid, oid, text, text[], text[], text) is
  'Says of rows that are undone which rows they would refer to are not there.';

-- Rows of others that refer to a row which would go: they would go with it, or keep it.
create or replace function audit.undo_dependents(
  nets audit.undo_net[], child oid, parent oid, child_name text, parent_numbers text[],
  to_child text, row_key text
)
  returns audit.undo_net[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_nets audit.undo_net[];
begin
  if not exists (select from unnest(nets) as n
                 where n.target = parent and n.stayed and not n.was_there) then
    return nets;
  end if;
  execute format(
'with net as materialized (
  select row_number() over () as i, n.* from unnest($1) as n
), used as materialized (
  select n.i, array(select n.new_values ->> c.k
    from unnest($4) with ordinality as c (k, i) order by c.i) as vals
  from net as n
  where n.target = $3 and n.problem is null and n.stayed and not n.was_there
), known as materialized (
  select n.new_key::text as key from net as n where n.target = $2 and n.problem is null and n.stayed
), dependent as materialized (
  select u.i, count(*) as number
  from used as u
  join %s as c on %s
  where not exists (select from known as k where k.key = %s)
  group by 1
)
select array_agg((n.place, n.target, n.was_there, n.stayed, n.old_key, n.new_key, n.old_values,
    n.new_values, n.present, n.missing,
    n.conflicts || case when d.number is not null then format(''%%s of %%s refer%%s to it'',
      d.number, $5, case when d.number = 1 then ''s'' end) end,
    n.problem)::audit.undo_net)
from net as n
left join dependent as d on d.i = n.i', child_name, to_child,
      coalesce(format('array[%s]::text[]::text', row_key), 'null'))
    into v_nets
    using nets, child, parent, parent_numbers, child_name;
  return v_nets;
end;
$$;

revoke all on function
  audit.undo_dependents(audit.undo_net[], oid, oid, text, text[], text, text) from public;

comment on function audit.undo_dependents(audit.undo_net[], oid, oid, text, text[], text, text) is
  'Says of rows that would go which rows of others refer to them.';

-- What foreign keys say of an undo: rows that are not there to refer to, rows that refer to what
-- would go, columns that a row cannot be without.
create or replace function audit.undo_references(nets audit.undo_net[])
  returns setof audit.undo_net
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_nets audit.undo_net[] := audit.undo_lacking(nets);
  v_targets constant oid[] := array(select distinct n.target from unnest(nets) as n);
  v_key record;
begin
  for v_key in
    select c.conrelid as child, c.confrelid as parent, audit.name_of(c.conrelid) as child_name,
      audit.name_of(c.confrelid) as parent_name, f.*,
      (select string_agg(format('concat(c.%s)', k.ident), ', ' order by k.place)
       from audit.tracked as t cross join lateral audit.undo_key(t) as k
       where t.target = c.conrelid) as row_key
    from pg_constraint as c
    cross join lateral (
      select
        string_agg(format('p.%I operator(%I.%s) (u.vals[%s])::%s', p.attname, n.nspname, o.oprname,
          k.i, audit.type_name(a.atttypid)), ' and ') as to_parent,
        string_agg(format('(u.vals[%s])::%s operator(%I.%s) c.%I', k.i, audit.type_name(p.atttypid),
          n.nspname, o.oprname, a.attname), ' and ') as to_child,
        array_agg(k.child::text order by k.i) as child_numbers,
        array_agg(k.parent::text order by k.i) as parent_numbers
      from unnest(c.conkey, c.confkey, c.conpfeqop) with ordinality as k (child, parent, equals, i)
      join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.child
      join pg_attribute as p on p.attrelid = c.confrelid and p.attnum = k.parent
      join pg_operator as o on o.oid = k.equals
      join pg_namespace as n on n.oid = o.oprnamespace
    ) as f
    left join audit.undo_levels(v_targets) as l on l.target = c.conrelid
    where c.contype = 'f' and c.conparentid = 0
      and (c.conrelid = any (v_targets) or c.confrelid = any (v_targets))
    order by l.number nulls first, c.oid
  loop
    if v_key.child = any (v_targets) then
      v_nets := audit.undo_orphans(v_nets, v_key.child, v_key.parent, v_key.parent_name,
        v_key.child_numbers, v_key.parent_numbers, v_key.to_parent);
    end if;
    if v_key.parent = any (v_targets) then
      v_nets := audit.undo_dependents(v_nets, v_key.child, v_key.parent, v_key.child_name,
        v_key.parent_numbers, v_key.to_child, v_key.row_key);
    end if;
  end loop;
  return query select (n).* from unnest(v_nets) as n;
end;
$$;

revoke all on function audit.undo_references(audit.undo_net[]) from public;

comment on function audit.undo_references(audit.undo_net[]) is
  'Adds to rows that are undone what foreign keys and columns without a value say against it.';

-- The statements that bring rows back to what they were: only the columns that were changed.
create or replace function audit.undo_statements(nets audit.undo_net[])
  returns table (
    place bigint, target oid, operation text, key text[], head text, tail text, conflicts text[],
    missing text[], problem text
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_nestloop = off
as $$
  with net as materialized (
    select row_number() over () as i, n.*,
      case when n.target is null then null
        when not n.was_there then 'delete'
        when n.stayed then 'update'
        else 'insert' end as operation,
      -- Where a deleted row is there again, only force goes on: it is brought to what it was.
      n.was_there and (n.stayed or n.present is not null) as is_update,
      case when n.stayed then n.new_key else n.old_key end as key
    from unnest(undo_statements.nets) as n
  ), col as materialized (
    select a.attrelid as target, a.attnum::text as number, a.attname::text as name,
      audit.quoted(a.attname) as ident, audit.type_name(a.atttypid) as type,
      a.attidentity, a.attnum as place, s.why
    from (select distinct n.target from net as n) as t
    join audit.tracked as k on k.target = t.target
    join pg_attribute as a on a.attrelid = t.target and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = ''
    cross join lateral (
      select case when a.attname = any (k.secret) then 'is secret'
        else 'is not in the log' end as why
    ) as s
  ), key as materialized (
    select t.target, k.*,
      -- The row that it refers to may have taken it back already.
      exists (select from pg_constraint as f where f.conrelid = d.target and f.contype = 'f'
              and f.confupdtype = 'c' and k.number = any (f.conkey)) as is_cascaded
    from (select distinct n.target from net as n) as d
    join audit.tracked as t on t.target = d.target
    cross join lateral audit.undo_key(t) as k
  ), found as materialized (
    select n.i, string_agg(case
        when k.is_cascaded and n.was_there and n.stayed and n.old_key[k.place] <> n.new_key[k.place]
          then format('(%1$s %2$s %3$L::%5$s or %1$s %2$s %4$L::%5$s)', k.ident, k.equals,
            n.new_key[k.place], n.old_key[k.place], k.type)
        else format('%s %s %L::%s', k.ident, k.equals, n.key[k.place], k.type) end,
      ' and ' order by k.place) as condition
    from net as n
    join key as k on k.target = n.target
    where n.problem is null
    group by 1
  ), item as materialized (
    select n.i, c.place, c.ident, 
        case when e.value is null then 'null' else quote_literal(e.value) || '::' || c.type end
          as literal
    from net as n
    cross join lateral jsonb_each_text(n.old_values) as e
    join col as c on c.target = n.target and c.number = e.key
    where n.problem is null and n.was_there and not n.missing ? e.key
      and (not n.is_update or c.attidentity <> 'a')
      and (not n.is_update or not n.stayed and n.present ->> e.key is distinct from e.value
        or n.stayed
          and (e.value is distinct from n.new_values ->> e.key or not n.new_values ? e.key))
  ), list as materialized (
    select t.i, string_agg(t.ident, ', ' order by t.place) as idents,
      string_agg(t.literal, ', ' order by t.place) as literals,
      string_agg(t.ident || ' = ' || t.literal, ', ' order by t.place) as settings
    from item as t
    group by 1
  ), gone as materialized (
    -- Rows that a cascade took, of which the log was not told.
    select t.target, array_agg(format('rows of %s that went with it are not in the log',
      audit.name_of(f.conrelid)) order by f.conrelid::regclass::text) as reasons
    from (select distinct n.target from net as n) as t
    join pg_constraint as f on f.confrelid = t.target and f.contype = 'f' and f.confdeltype = 'c'
      and f.conparentid = 0
    where not exists (
      select from audit.tracked as k
      cross join lateral jsonb_array_elements(k.actions) as r (rule)
      where k.target = f.conrelid and r.rule -> 'on' ? 'delete' and r.rule ->> 'when' is null)
    group by 1
  ), lost as materialized (
    select n.i, array_agg(coalesce(n.missing ->> c.number, format('%s %s', c.name, c.why))
        order by c.place) as reasons
    from net as n
    join col as c on c.target = n.target
    where n.operation = 'insert'
      and (n.missing ? c.number or not n.old_values ? c.number)
    group by 1
  )
  select n.place, n.target, n.operation, n.key,
    case when n.problem is not null or (n.operation <> 'insert' and n.present is null)
        or (n.is_update and l.settings is null) then null
      when n.operation = 'delete' then format('delete from %s where ', r.name)
      when n.is_update then format('update %s set %s where ', r.name, l.settings)
      when r.has_always
        then format('insert into %s (%s) overriding system value values ', r.name, l.idents)
      else format('insert into %s (%s) values ', r.name, l.idents) end,
    format('(%s)', case when n.operation = 'insert' and not n.is_update then l.literals
      else f.condition end),
    n.conflicts, m.missing, n.problem
  from net as n
  left join found as f on f.i = n.i
  left join list as l on l.i = n.i
  left join lost as o on o.i = n.i
  left join lateral (
    select audit.name_of(n.target) as name,
      exists (select from col as c where c.target = n.target and c.attidentity = 'a') as has_always
  ) as r on true
  cross join lateral (
    select case when n.operation = 'delete' then '{}'
      when n.operation = 'insert' then coalesce(o.reasons, '{}') || array(
        select e.value from jsonb_each_text(n.missing) as e where e.key !~ '^\d+$')
        || coalesce((select g.reasons from gone as g where g.target = n.target), '{}')
      else array(select e.value from jsonb_each_text(n.missing) as e order by e.key) end as missing
  ) as m
  where n.problem is not null or n.operation <> 'update' or l.settings is not null
    or n.missing <> '{}'
$$;

revoke all on function audit.undo_statements(audit.undo_net[]) from public;

comment on function audit.undo_statements(audit.undo_net[]) is
  'The statements that undo what became of rows of tables.';

-- The steps of an undo, with their statements in two pieces: steps of one first piece can be one
-- statement.
create or replace function audit.undo_steps(
  tx bigint,
  era integer,
  event text,
  item_type text,
  item_id text,
  at timestamptz
)
  returns table (
    step integer,
    table_name text,
    key text,
    operation text,
    head text,
    tail text,
    conflict text,
    restorable text,
    missing text[]
  )
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
  set intervalstyle = 'postgres'
  set extra_float_digits = 1
  set bytea_output = 'hex'
  set lc_monetary = 'C'
  set array_nulls = on
  set quote_all_identifiers = off
  set xmloption = 'content'
  set jit = off
as $$
#variable_conflict use_column
declare
  v_rows audit.undo_row[];
  v_changes audit.undo_change[];
  v_nets audit.undo_net[];
begin
  v_rows := array(select r::audit.undo_row
    from audit.undo_rows(undo_steps.tx, undo_steps.era, undo_steps.event, undo_steps.item_type,
      undo_steps.item_id, undo_steps.at) as r);
  v_changes := array(select c::audit.undo_change from audit.undo_changes(v_rows) as c);
  v_nets := array(select n::audit.undo_net from audit.undo_nets(v_changes) as n);
  v_nets := array(select n::audit.undo_net from audit.undo_present(v_nets) as n);
  v_nets := array(select n::audit.undo_net from audit.undo_references(v_nets) as n);
  return query
    with statement as materialized (
      select s.*, row_number() over (order by s.place desc, s.target, s.key) as position,
        case s.operation when 'insert' then 1 when 'delete' then -1 else 0 end as class,
        coalesce(l.number, 0) as level
      from audit.undo_statements(v_nets) as s
      left join audit.undo_levels(array(select distinct n.target from unnest(v_nets) as n)) as l
        on l.target = s.target
    ), ranked as (
      -- The last is undone first. Where rows come back, tables that others refer to come before
      -- these; where rows go, after.
      select s.*,
        case when s.class = 0 then s.position
          else row_number() over (partition by s.class order by s.level * s.class, s.position)
          end as rank,
        case when s.class = 0 then s.position
          else row_number() over (partition by s.class order by s.position) end as slot
      from statement as s
    )
    select (row_number() over (order by p.position))::integer,
      case when r.target is not null then audit.name_of(r.target) end,
      case when cardinality(r.key) = 1 then r.key[1]
        else array_to_string(array(select replace(replace(k, '~', '~0'), '/', '~1')
          from unnest(r.key) as k), '/') end,
      r.operation, r.head, r.tail, nullif(array_to_string(r.conflicts, '; '), ''),
      case when r.problem is not null
          or (r.head is null and r.operation = 'update' and cardinality(r.conflicts) = 0) then 'no'
        when cardinality(r.missing) > 0 then 'partly' else 'yes' end,
      case when r.problem is not null then array[r.problem] || r.missing else r.missing end
    from ranked as p
    join ranked as r on r.class = p.class and r.rank = p.slot
    order by 1;
end;
$$;

revoke all on function audit.undo_steps(bigint, integer, text, text, text, timestamptz) from public;

comment on function audit.undo_steps(bigint, integer, text, text, text, timestamptz) is
  'The steps that undo, in their order: rows, the two pieces of a statement, conflicts, what is '
  'missing.';

-- What it takes to undo a transaction, an event, or what was done to an item since a time: read
-- from the log and from the tables, with the rights of whoever asks.
create or replace function audit.undo_plan(
  tx bigint default null,
  era integer default null,
  event text default null,
  item_type text default null,
  item_id text default null,
  at timestamptz default null
)
  returns table (
    step integer,
    table_name text,
    key text,
    operation text,
    statement text,
    conflict text,
    restorable text,
    missing text[]
  )
  language sql
  set search_path = pg_catalog, pg_temp
as $$
  select s.step, s.table_name, s.key, s.operation, s.head || s.tail, s.conflict, s.restorable,
    s.missing
  from audit.undo_steps(tx, era, event, item_type, item_id, at) as s
$$;

revoke all on function audit.undo_plan(bigint, integer, text, text, text, timestamptz) from public;

comment on function audit.undo_plan(bigint, integer, text, text, text, timestamptz) is
  'Public. The statements that undo a transaction, an event, or what was done to an item since a '
  'time, in their order; conflicts with what was done since, and what cannot be restored.';

-- Who undoes must be known; what is undone stands in the context of all that follows. Returns the
-- setting as it was.
create or replace function audit.undo_begin(
  tx bigint, era integer, event text, item_type text, item_id text, at timestamptz,
  on_conflict text
)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_before constant text := current_setting('audit.actor', true);
  v_actor record;
begin
  if on_conflict is null or on_conflict not in ('stop', 'skip', 'force') then
    raise exception 'on_conflict is stop, skip or force, not %', coalesce(on_conflict, 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  select * into v_actor from audit.actor_now();
  if v_actor.actor_type = 'database' then
    raise exception 'an undo needs an actor, and the transaction has none'
      using errcode = 'UA002',
        hint = 'In the same transaction, before it: '
          'select audit.set_actor(''platform_user'', ''42'', ''ana@example.com'').';
  end if;
  perform audit.set_actor(v_actor.actor_type, v_actor.actor_id, v_actor.actor_label,
    (coalesce(v_actor.context, '{}') || jsonb_build_object('undo_of', jsonb_strip_nulls(
      jsonb_build_object('tx', tx,
        'era', coalesce(era, (select min(l.era) from audit.log as l where l.tx = undo_begin.tx)),
        'event', event, 'item_type', item_type, 'item_id', item_id, 'at', at))))::text,
    v_actor.on_behalf_of_type, v_actor.on_behalf_of_id, v_actor.on_behalf_of_label);
  return v_before;
end;
$$;

revoke all on function
  audit.undo_begin(bigint, integer, text, text, text, timestamptz, text) from public;

comment on function audit.undo_begin(bigint, integer, text, text, text, timestamptz, text) is
  'Puts into the context of the actor what is undone from now on; refuses where there is no actor.';

-- The statements of a plan, as far as its conflicts let them run.
create or replace function audit.undo_checked(
  tx bigint, era integer, event text, item_type text, item_id text, at timestamptz,
  on_conflict text, out heads text[], out tails text[], out joined text[]
)
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_steps bigint;
  v_against text[];
begin
  select
      array_agg(p.head order by p.step) filter (where p.is_run),
      array_agg(p.tail order by p.step) filter (where p.is_run),
      array_agg(
        case when p.head like 'insert %' then ', ' when p.head like 'delete %' then ' or ' end
        order by p.step) filter (where p.is_run),
      count(*),
      array_agg(format('%s: %s', concat_ws(' ', p.table_name, p.key),
          coalesce(p.conflict, array_to_string(p.missing, ', '))) order by p.step)
        filter (where p.conflict is not null or p.restorable = 'no')
    into heads, tails, joined, v_steps, v_against
    from (
      select s.*, s.head is not null and (s.conflict is null or on_conflict = 'force') as is_run
      from audit.undo_steps(tx, era, event, item_type, item_id, at) as s
    ) as p;
  if v_steps = 0 then
    raise exception 'nothing to undo'
      using errcode = 'UA011',
        hint = 'Either the log has no such changes, or they came to nothing.';
  elsif v_against is not null and on_conflict = 'stop' then
    raise exception 'not undone: % of % rows cannot go back as they are now; %',
        cardinality(v_against), v_steps, v_against[1]
      using errcode = 'UA011',
        detail = array_to_string(v_against[1:20], E'\n')
          || case when cardinality(v_against) > 20 then E'\n...' else '' end,
        hint = 'See audit.undo_plan(). on_conflict => ''skip'' leaves these rows as they are, '
          '''force'' overwrites what was changed since.';
  end if;
end;
$$;

revoke all on function
  audit.undo_checked(bigint, integer, text, text, text, timestamptz, text) from public;

comment on function audit.undo_checked(bigint, integer, text, text, text, timestamptz, text) is
  'The statements that undo; an error where there are conflicts that nobody said what to do with.';

-- One statement of an undo, which is about so many rows.
create or replace function audit.undo_one(statement text, expected integer)
  returns void
  language plpgsql
as $$
declare
  v_count pg_catalog.int8;
begin
  execute $1;
  get diagnostics v_count = row_count;
  if v_count operator(pg_catalog.<>) $2 then
    raise exception 'not undone: a statement changed % rows, not %', v_count, $2
      using errcode = 'UA011', detail = pg_catalog.left($1, 1000);
  end if;
end;
$$;

revoke all on function audit.undo_one(text, integer) from public;

comment on function audit.undo_one(text, integer) is
  'Runs a statement that changes so many rows.';

-- Neighbouring steps that can be one statement, up to a hundred: rows that come back to one table,
-- or that go from one.
create or replace function audit.undo_batches(heads text[], tails text[], joined text[])
  returns table (statement text, count integer)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with step as (
    select u.n, u.head, u.tail, u.joint,
      u.joint is null or u.head is distinct from lag(u.head) over (order by u.n) as is_first
    from unnest(heads, tails, joined) with ordinality as u (head, tail, joint, n)
  ), run as (
    select s.*, count(*) filter (where s.is_first) over (order by s.n) as run from step as s
  ), batch as (
    select r.*, (row_number() over (partition by r.run order by r.n) - 1) / 100 as part
    from run as r
  )
  select min(b.head) || string_agg(b.tail, coalesce(b.joint, '') order by b.n), count(*)::integer
  from batch as b
  group by b.run, b.part
  order by min(b.n)
$$;

revoke all on function audit.undo_batches(text[], text[], text[]) from public;

comment on function audit.undo_batches(text[], text[], text[]) is
  'The statements of an undo, those of neighbours in one.';

-- The constraints that may wait, where it takes a second try; those that wait anyway are left so. A
-- name stands for all constraints of a schema that are called so.
create or replace function audit.undo_deferrable()
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select string_agg(format('%I.%I', n.nspname, c.name), ', ')
  from (
    select c.connamespace, c.conname as name
    from pg_constraint as c
    where c.conrelid in (select k.target from audit.tracked as k)
      and c.contype in ('f', 'u', 'p', 'x')
    group by 1, 2
    having bool_and(c.condeferrable and not c.condeferred)
  ) as c
  join pg_namespace as n on n.oid = c.connamespace
  where not exists (
    select from pg_constraint as o
    where o.connamespace = c.connamespace and o.conname = c.name and not o.condeferrable)
$$;

revoke all on function audit.undo_deferrable() from public;

comment on function audit.undo_deferrable() is
  'The constraints of tracked tables that can be deferred, as SET CONSTRAINTS takes them.';

-- Runs the steps of an undo under the search path of the caller, in their order: many of one first
-- piece as one statement. Where a constraint is against that order, those that can run first do.
create or replace function audit.undo_run(heads text[], tails text[], joined text[])
  returns void
  language plpgsql
as $$
declare
  v_left pg_catalog.int4[] := array(select pg_catalog.generate_subscripts($1, 1));
  v_again pg_catalog.int4[];
  v_step pg_catalog.int4;
  v_batch record;
  v_deferrable constant pg_catalog.text := audit.undo_deferrable();
begin
  begin
    for v_batch in select * from audit.undo_batches($1, $2, $3) loop
      perform audit.undo_one(v_batch.statement, v_batch.count);
    end loop;
    return;
  exception when foreign_key_violation or unique_violation or exclusion_violation then
    null;
  end;
  if v_deferrable is not null then
    execute pg_catalog.format('set constraints %s deferred', v_deferrable);
  end if;
  while pg_catalog.cardinality(v_left) operator(pg_catalog.>) 0 loop
    v_again := '{}';
    foreach v_step in array v_left loop
      begin
        perform audit.undo_one($1[v_step] operator(pg_catalog.||) $2[v_step], 1);
      exception when foreign_key_violation or unique_violation or exclusion_violation then
        v_again := pg_catalog.array_append(v_again, v_step);
      end;
    end loop;
    if v_again operator(pg_catalog.=) v_left then
      -- Nothing goes on: the error itself says why.
      perform audit.undo_one($1[v_again[1]] operator(pg_catalog.||) $2[v_again[1]], 1);
    end if;
    v_left := v_again;
  end loop;
  if v_deferrable is not null then
    execute pg_catalog.format('set constraints %s immediate', v_deferrable);
  end if;
end;
$$;

revoke all on function audit.undo_run(text[], text[], text[]) from public;

comment on function audit.undo_run(text[], text[], text[]) is
  'Runs the statements of an undo, given in two pieces and by what they can be joined.';

-- Undoes what audit.undo_plan() shows, by ordinary statements with the rights and the search path
-- of whoever calls it, so that the tables' own triggers run as always. It is in the log like every
-- change, with what was undone in its context.
create or replace function audit.undo(
  tx bigint default null,
  era integer default null,
  event text default null,
  item_type text default null,
  item_id text default null,
  at timestamptz default null,
  on_conflict text default 'stop'
)
  returns integer
  language plpgsql
  -- How values in the statements are read.
  set intervalstyle = 'postgres'
  set lc_monetary = 'C'
  set array_nulls = on
  set xmloption = 'content'
as $$
declare
  v_actor constant pg_catalog.text := audit.undo_begin(
    $1, $2, $3, $4, $5, $6, $7);
  v_heads pg_catalog.text[];
  v_tails pg_catalog.text[];
  v_joined pg_catalog.text[];
begin
  select c.heads, c.tails, c.joined into v_heads, v_tails, v_joined
    from audit.undo_checked($1, $2, $3, $4, $5, $6, $7) as c;
  perform audit.undo_run(v_heads, v_tails, v_joined);
  perform pg_catalog.set_config('audit.actor', v_actor, true);
  return coalesce(pg_catalog.cardinality(v_heads), 0);
end;
$$;

revoke all on function
  audit.undo(bigint, integer, text, text, text, timestamptz, text) from public;

comment on function audit.undo(bigint, integer, text, text, text, timestamptz, text) is
  'Public. Undoes a transaction, an event, or what was done to an item since a time; returns how '
  'many steps it took. With conflicts it does nothing, unless on_conflict says skip or force.';

-- What the roles of the log may do, in one place: given by audit.grant_rights(), looked for
-- by audit.check().
create or replace function audit.role_rights()
  returns table (role text, privilege text, object text, is_function boolean)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select r.role, 'select', o.object, false
  from unnest(array['audit_reader', 'audit_exporter']) as r (role)
  cross join unnest(array['audit.log', 'audit.action', 'audit.tracked', 'audit.layout',
    'audit.events', 'audit.changes', 'audit.actions', 'audit.era', 'audit.closed_partition',
    'audit.presence', 'audit.belonging']) as o (object)
  union all
  select r.role, 'execute', o.object, true
  from unnest(array['audit_reader', 'audit_exporter']) as r (role)
  cross join unnest(array['audit.item_log(text, text, text, boolean)', 'audit.tree_log(text, text, text, boolean)',
    'audit.parent_columns()', 'audit.belonging_query(text, text)', 'audit.summarised_partitions()',
    'audit.event(text, text)', 'audit.describe_rule(jsonb)']) as o (object)
  union all
  -- Undoing, with all that it calls: it runs with the rights of whoever undoes.
  select r.role, 'execute', o.object, true
  from unnest(array['audit_reader', 'audit_exporter']) as r (role)
  cross join unnest(array[
      'audit.type_name(oid)', 'audit.undo_array(jsonb, text)',
      'audit.undo_batches(text[], text[], text[])',
      'audit.undo_deferrable()', 'audit.undo_begin(bigint, integer, text, text, text, timestamptz, text)',
      'audit.undo_changes(audit.undo_row[])',
      'audit.undo_checked(bigint, integer, text, text, text, timestamptz, text)',
      'audit.undo_columns(audit.layout, regclass)',
      'audit.undo_dependents(audit.undo_net[], oid, oid, text, text[], text, text)',
      'audit.undo_entries(audit.layout, regclass, audit.undo_row[])',
      'audit.undo_key(audit.tracked)', 'audit.undo_keyed(jsonb, jsonb, text, text, text, text)',
      'audit.undo_lacking(audit.undo_net[])', 'audit.undo_levels(oid[])',
      'audit.undo_nets(audit.undo_change[])',
      'audit.undo_one(text, integer)',
      'audit.undo_orphans(audit.undo_net[], oid, oid, text, text[], text[], text)',
      'audit.undo_present(audit.undo_net[])',
      'audit.undo_records(audit.layout, regclass, audit.undo_row[])',
      'audit.undo_references(audit.undo_net[])',
      'audit.undo_rows(bigint, integer, text, text, text, timestamptz)', 'audit.undo_run(text[], text[], text[])',
      'audit.undo_statements(audit.undo_net[])',
      'audit.undo_steps(bigint, integer, text, text, text, timestamptz)', 'audit.undo_text(jsonb, text)',
      'audit.undo_plan(bigint, integer, text, text, text, timestamptz)',
      'audit.undo(bigint, integer, text, text, text, timestamptz, text)', 'audit.actor_now()',
      'audit.context_of(text)', 'audit.name_of(regclass)', 'audit.quoted(text)',
      'audit.presented(oid, text)', 'audit.presented_type(oid)', 'audit.record_value(oid, text)',
      'audit.json_value(oid, text, boolean)', 'audit.is_kept(oid)', 'audit.is_builtin(oid)',
      'audit.builtin_name(oid)', 'audit.element_of(oid)', 'audit.fold_name(text)',
      'audit.as_compiled(anyelement, anyelement)']) as o (object)
  union all
  -- Which revision the log has; there is none where psql installed it.
  select r.role, 'select', 'audit.alembic_version', false
  from unnest(array['audit_reader', 'audit_exporter', 'audit_maintainer']) as r (role)
  where to_regclass('audit.alembic_version') is not null
  union all
  values
    ('audit_exporter', 'execute', 'audit.record_export(jsonb)', true),
    ('audit_maintainer', 'execute', 'audit.maintain(interval)', true),
    ('audit_maintainer', 'execute', 'audit.check(interval)', true),
    ('audit_maintainer', 'execute', 'audit.partition_list()', true),
    ('audit_maintainer', 'select', 'audit.option', false),
    ('audit_maintainer', 'select', 'audit.closed_partition', false),
    ('audit_writer', 'insert', 'audit.log', false),
    ('audit_writer', 'select', 'audit.move', false),
    ('audit_writer', 'insert', 'audit.move', false),
    ('audit_writer', 'update', 'audit.move', false),
    ('audit_writer', 'delete', 'audit.move', false),
    ('audit_writer', 'execute', 'audit.demand_actor(text)', true),
    ('audit_writer', 'execute', 'audit.refuse_null(text, text)', true),
    ('audit_writer', 'execute', 'audit.moved_identity(text, text[], text[])', true),
    ('audit_writer', 'execute', 'audit.context_of(text)', true),
    ('audit_writer', 'execute', 'audit.told_rows(integer, text[])', true)
  union all
  select r.role, 'execute', o.object, true
  from unnest(array['audit_writer', 'audit_lookup']) as r (role)
  cross join unnest(array['audit.is_current(integer, text, regclass[])', 'audit.utc(timestamptz)',
    'audit.as_compiled(anyelement, anyelement)']) as o (object)
$$;

revoke all on function audit.role_rights() from public;

comment on function audit.role_rights() is
  'The rights that the roles of the log have, one a row.';

-- Event triggers follow DDL where a superuser owns the log; elsewhere there are none to miss.
create or replace function audit.check_event_triggers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when e.oid is null then 'event_trigger_missing' else 'event_trigger_disabled' end,
    'error', n.name,
    case when e.oid is null then 'The event trigger is gone' else 'The event trigger is disabled, '
      'or not enabled always' end || case when n.name = 'audit_after_subscription'
      then ': no era begins where rows of another server come.'
      else ': triggers no longer follow changes of tables.' end,
    'select audit.follow_ddl();'
  from unnest(array['audit_before_ddl', 'audit_after_ddl', 'audit_after_drop',
    'audit_after_subscription']) as n (name)
  left join pg_event_trigger as e on e.evtname = n.name
  where (e.oid is null or e.evtenabled <> 'A')
    and (select r.rolsuper from pg_class as c join pg_roles as r on r.oid = c.relowner
         where c.oid = 'audit.log'::regclass)
$$;

revoke all on function audit.check_event_triggers() from public;

comment on function audit.check_event_triggers() is
  'Findings: event triggers that are missing or disabled.';

-- Whether each tracked table has what its declaration compiles to now, as audit.refresh() sees it.
create or replace function audit.check_tables()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
as $$
declare
  v_tracked audit.tracked;
  v_name text;
  v_mend text;
  v_compiler text := audit.compiler_digest();
  v_inputs text;
  v_is_stale boolean;
  v_hint text;
  -- Without its event trigger the list of columns is left out everywhere: that is one finding, not
  -- one for each table.
  v_is_unfollowed boolean := exists (select from audit.check_event_triggers());
begin
  for v_tracked in select * from audit.tracked as k order by k.id loop
    v_name := audit.name_of(v_tracked.target);
    v_mend := format('select audit.refresh(%L);', v_name);
    if v_name is null then
      return query select 'table_gone', 'warning', v_tracked.compiled ->> 'name',
        'The table was dropped, but its declaration is still there.', 'select audit.refresh();';
      continue;
    end if;
    if not exists (select from pg_index as i
                   where i.indrelid = v_tracked.target and i.indisprimary)
      and audit.key_of(v_tracked.target) <> '{}'
    then
      return query
        select 'key_missing', 'warning', v_name,
          'The table has no primary key. Its rows go by the columns of the one that it had, and '
          'nothing keeps two of them from having the same.',
          format('alter table %s add primary key (%s);', v_name,
            string_agg(quote_ident(a.attname), ', ' order by a.attnum))
        from pg_attribute as a
        where a.attrelid = v_tracked.target and a.attnum = any (audit.key_of(v_tracked.target));
    end if;
    if v_tracked.compiled -> 'triggers' ->> '_audit_update' like 'after update of %'
      and (select r.has_before_update from audit.table_trait(v_tracked.target) as r)
    then
      return query select 'update_trigger_narrow', 'error', v_name,
        'A trigger BEFORE UPDATE may change columns that the statement does not name, and the '
        'audit trigger looks at statements that name audited columns alone.', v_mend;
      continue;
    end if;
    begin
      perform audit.validate_bound(v_tracked);
      v_inputs := audit.inputs_of(v_tracked, v_compiler);
      v_is_stale := case when v_is_unfollowed
        then split_part(v_inputs, ':', 1) <> split_part(v_tracked.inputs, ':', 1)
        else v_inputs <> v_tracked.inputs end;
      if v_is_stale then
        perform audit.validate_trackable(v_tracked.target);
        perform audit.validate_declaration(audit.follow_columns(v_tracked), false);
        return query select 'triggers_stale', 'error', v_name,
          'The table, or one that it looks up, has changed since its triggers were compiled.',
          v_mend;
      end if;
    exception
      -- Its text says what no longer fits; only people know what should stand there instead.
      when others then
        get stacked diagnostics v_hint = pg_exception_hint;
        return query select 'declaration_broken', 'error', v_name,
          format('The declaration no longer fits, so nothing can be compiled: %s.', sqlerrm)
            || rtrim(' ' || v_hint),
          format('select audit.track(%L, ...);', v_name);
    end;
  end loop;
end;
$$;

revoke all on function audit.check_tables() from public;

comment on function audit.check_tables() is
  'Findings: tracked tables that no longer fit what was compiled for them.';

-- Whether the compiled functions are as they were compiled, and have the rights that they shall
-- have.
create or replace function audit.check_functions()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with compiled as (
    select audit.name_of(k.target) as target, f.key as name, f.value as ddl,
      split_part(f.value, E'\nas ', 1) as head,
      audit.role_for(coalesce(k.compiled -> 'owners' ->> f.key, 'audit_writer')) as role, p.*
    from audit.tracked as k
    cross join lateral jsonb_each_text(k.compiled -> 'functions') as f
    left join pg_proc as p on p.oid = to_regproc(format('audit.%I', f.key))
    where audit.name_of(k.target) is not null
  )
  select 'function_changed', 'error', format('audit.%I()', c.name),
    case when c.oid is null
      then format('The function compiled for %s is gone.', c.target)
      else format('The function compiled for %s was replaced or altered by hand.', c.target) end,
    case when c.oid is null then format('select audit.refresh(%L);', c.target)
      else format('drop function audit.%I cascade; select audit.refresh(%L);', c.name, c.target)
    end
  from compiled as c
  where c.oid is null
    or c.prosqlbody is null and (
      right(c.ddl, length(quote_literal(c.prosrc))) <> quote_literal(c.prosrc)
      or c.prosecdef <> (c.head ~ E'\n +security definer\\M')
      or c.prosecdef and not coalesce('search_path=pg_catalog, pg_temp' = any (c.proconfig), false)
      or coalesce(cardinality(c.proconfig), 0)
        <> (select count(*) from regexp_matches(c.head, E'\n +set ', 'g')))
  union all
  select 'function_owner', 'error', format('audit.%I()', c.name),
    format('The function compiled for %s belongs to %s and writes with the rights of that role.',
      c.target, quote_ident(pg_get_userbyid(c.proowner))),
    format('alter function audit.%I owner to %I;', c.name, c.role)
  from compiled as c
  where pg_get_userbyid(c.proowner) <> c.role
$$;

revoke all on function audit.check_functions() from public;

comment on function audit.check_functions() is
  'Findings: compiled functions that were changed by hand.';

-- Whether what is kept as compiled from a declaration is what it compiles to: whoever owns the log
-- could change both a function and what audit.tracked keeps of it. Compiling every table takes a
-- while, so audit.check() leaves it out, and auditdb check --thorough asks.
create or replace function audit.check_compiled()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
  set jit = off
as $$
  select 'compiled_forged', 'error', audit.name_of(k.target),
    'What audit.tracked keeps as compiled for the table is not what its declaration compiles to.',
    format('update audit.tracked set inputs = '''' where target = %1$L::regclass; '
      'select audit.refresh(%1$L);', audit.name_of(k.target))
  from audit.tracked as k
  -- Of tables that have changed since, audit.check_tables() tells.
  where k.inputs = audit.inputs_of(k)
    and to_jsonb(audit.compile_table(k)) is distinct from k.compiled
$$;

revoke all on function audit.check_compiled() from public;

comment on function audit.check_compiled() is
  'Findings: tables whose functions are not what their declarations compile to.';

-- Whether what is derived from audit.layout is there and fits it. Records of the log are read by it: a
-- type of another shape, left from before rows of another log were loaded, would show them wrong.
create or replace function audit.check_layouts()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with layout as (
    select y.*, format('layout_%s', y.id) as name from audit.layout as y
  ), derived as (
    select y.id, y.table_name, y.name, y.columns, t.oid, t.typrelid,
      to_regproc(format('audit.%I', y.name || '_text')) is not null
        and to_regproc(format('audit.%I', y.name || '_values')) is not null as is_read
    from layout as y
    left join pg_type as t on t.typnamespace = 'audit'::regnamespace and t.typname = y.name
  )
  select 'layout_missing', 'error', format('audit.%I', d.name),
    format('The type or a function of layout %s is gone: whole rows of %s cannot be read.', d.id,
      d.table_name),
    'select audit.refresh();'
  from derived as d
  where d.oid is null or not d.is_read
  union all
  select 'layout_changed', 'error', format('audit.%I', d.name),
    format('The type of layout %s has not the columns that audit.layout tells of: rows of %s are '
      'shown wrong, or not at all.', d.id, d.table_name),
    format('drop type audit.%1$I; drop function if exists audit.%2$I, audit.%3$I; '
      'select audit.refresh();', d.name, d.name || '_text', d.name || '_values')
  from derived as d
  where (
      select coalesce(jsonb_agg(jsonb_build_array(a.attname, a.atttypid) order by a.attnum), '[]')
      from pg_attribute as a
      where a.attrelid = d.typrelid and a.attnum > 0 and not a.attisdropped)
    is distinct from (
      select coalesce(jsonb_agg(jsonb_build_array(c ->> 'name', to_regtype(c ->> 'kept_as')::oid)
        order by n), '[]')
      from jsonb_array_elements(d.columns) with ordinality as e (c, n))
    and d.oid is not null
$$;

revoke all on function audit.check_layouts() from public;

comment on function audit.check_layouts() is
  'Findings: layouts of the log whose type or functions are missing, or of another shape.';

-- What reads records is made of audit.layout alone, so it can be made again to compare: that takes
-- milliseconds for each layout, so that audit.refresh() leaves it to checks.
create or replace function audit.check_layout_readers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  -- Each made once, whatever the planner thinks of how many there are.
  with made as materialized (
    select format('layout_%s_values', y.id) as name, audit.layout_reader(y) as ddl
    from audit.layout as y
    union all
    select format('layout_%s_text', y.id), audit.layout_printer(y) from audit.layout as y
    union all
    select 'record_' || k, audit.layout_dispatcher(k) from unnest(array['values', 'text']) as k
  )
  select 'layout_changed', 'error', format('audit.%I', m.name),
    'The function that reads whole rows is not as it was compiled: it may show what was not there.',
    'drop function ' || f.oid::regprocedure || '; select audit.derive_layouts();'
  from made as m
  join pg_proc as f on f.pronamespace = 'audit'::regnamespace and f.proname = m.name
  where strpos(m.ddl, quote_literal(f.prosrc)) = 0
    or exists (select from audit.layout) and (f.prosecdef or f.provolatile <> 'i'
      or f.proconfig[1] is distinct from 'search_path=pg_catalog, pg_temp')
$$;

revoke all on function audit.check_layout_readers() from public;

comment on function audit.check_layout_readers() is
  'Findings: functions that read records of the log, and are not as they were compiled.';

-- Whether the triggers of tracked tables and of their partitions are there, as compiled, and fire.
create or replace function audit.check_triggers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
  with relation as (
    select k.target, audit.name_of(k.target) as target_name, k.compiled -> 'triggers' as triggers,
      r as relid, audit.name_of(r) as name,
      audit.name_of(k.target) = k.compiled ->> 'name'
        and audit.fingerprint(k) = k.compiled ->> 'fingerprint' as is_current
    from audit.tracked as k
    cross join lateral audit.triggered_relations(k.target) as r
    where audit.name_of(k.target) is not null
  ), expected as (
    select r.*, e.key as trigger, g.oid,
      format('create trigger %I %s', e.key,
        replace(e.value, format(' on %s ', r.target), format(' on %s ', r.name))) as ddl
    from relation as r
    cross join lateral jsonb_each_text(r.triggers) as e
    left join pg_trigger as g on g.tgrelid = r.relid and g.tgname = e.key
    where audit.carries(r.relid, r.target, e.key)
  )
  select 'trigger_missing', 'error', format('%I on %s', e.trigger, e.name),
    'The trigger is gone: what it records is missed.',
    format('select audit.refresh(%L);', e.target_name)
  from expected as e
  where e.oid is null
  union all
  select 'trigger_changed', 'error', format('%I on %s', e.trigger, e.name),
    'The trigger is not the one that was compiled: it may miss something.',
    format('drop trigger %I on %s; select audit.refresh(%L);', e.trigger, e.name, e.target_name)
  from expected as e
  where lower(pg_get_triggerdef(e.oid)) <> lower(e.ddl)
    -- Of a table that has changed itself, audit.check_tables() tells.
    and e.is_current
  union all
  select case g.tgenabled when 'D' then 'trigger_disabled' else 'trigger_not_always' end, 'error',
    format('%I on %s', g.tgname, r.name),
    case g.tgenabled when 'D' then 'The trigger is disabled: what it records is missed.'
      else 'The trigger does not fire in every session: it must, whatever '
        'session_replication_role is.' end,
    format('alter table %s enable always trigger %I;', r.name, g.tgname)
  from relation as r
  join pg_trigger as g on g.tgrelid = r.relid
  where g.tgname ~ '^_audit_' and g.tgenabled <> 'A'
    -- Enabling the trigger of the whole table enables those of its partitions.
    and not exists (select from pg_trigger as p
                    where p.oid = g.tgparentid and p.tgenabled = g.tgenabled)
$$;

revoke all on function audit.check_triggers() from public;

comment on function audit.check_triggers() is
  'Findings: triggers of tracked tables that are missing, changed or disabled.';

-- What a restore leaves: triggers whose declarations were not in the dump, and compiled functions that
-- know the tables by the numbers of another database.
create or replace function audit.check_restored()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'declaration_missing', 'error', audit.name_of(g.tgrelid),
    'The table has triggers of a declaration that is gone, as after a restore of the schema alone: '
      'writes fail, or are missed.',
    format('select audit.track(%L, ...);', audit.name_of(g.tgrelid))
  from pg_trigger as g
  join pg_proc as p on p.oid = g.tgfoid and p.pronamespace = 'audit'::regnamespace
  where g.tgname ~ '^_audit_(insert|update|delete)$'
    and not exists (
      select from audit.tracked as k
      where k.target = g.tgrelid
        or k.target in (select a from pg_partition_ancestors(g.tgrelid) as a))
    and g.tgparentid = 0
  group by g.tgrelid
  union all
  select 'table_restored', 'error', audit.name_of(k.target),
    'The table was restored from another database, and nothing follows its changes yet: writes fail.',
    format('select audit.refresh(%L);', audit.name_of(k.target))
  from audit.tracked as k
  join audit.layout as y on y.id = k.layout
  where y.relation <> k.target and audit.name_of(k.target) is not null and not audit.follows_ddl()
$$;

revoke all on function audit.check_restored() from public;

comment on function audit.check_restored() is
  'Findings: tables whose triggers a restore brought without what they need.';

-- Tables beside tracked ones that nobody has decided about. Those in which tools note their
-- migrations need no decision.
create or replace function audit.check_untracked()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_target regclass;
  v_name text;
  v_hint text;
begin
  for v_target in
    select c.oid
    from pg_class as c
    where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
      and c.relnamespace in (select t.relnamespace from audit.tracked as k
                             join pg_class as t on t.oid = k.target)
      and not exists (select from audit.tracked as k where k.target = c.oid)
      and not exists (select from audit.ignored as i where i.target = c.oid)
      and not exists (select from pg_depend as d
                      where d.classid = 'pg_class'::regclass and d.objid = c.oid
                        and d.deptype = 'e')
      and lower(c.relname) <> all (array[
        '__diesel_schema_migrations', '__efmigrationshistory', '_prisma_migrations',
        '_sqlx_migrations', 'alembic_version', 'ar_internal_metadata', 'databasechangelog',
        'databasechangeloglock', 'django_migrations', 'doctrine_migration_versions',
        'flyway_schema_history', 'goose_db_version', 'knex_migrations', 'knex_migrations_lock',
        'mikro_orm_migrations', 'phinxlog', 'refinery_schema_history', 'schema_migrations',
        'schema_version', 'sequelizemeta', 'typeorm_metadata'])
    order by c.oid
  loop
    v_name := audit.name_of(v_target);
    begin
      perform audit.validate_trackable(v_target);
      return query select 'table_untracked', 'info', v_name,
        'The table is not tracked, but others of its schema are. Where it shall not be, say so by '
        'audit.ignore().',
        format('select audit.track(%1$L); -- or: select audit.ignore(%1$L);', v_name);
    exception
      when sqlstate 'UA001' then
        get stacked diagnostics v_hint = pg_exception_hint;
        return query select 'table_untracked', 'info', v_name,
          format('The table is not tracked, but others of its schema are: %s.', sqlerrm),
          format('%s -- or: select audit.ignore(%L);', v_hint, v_name);
    end;
  end loop;
end;
$$;

revoke all on function audit.check_untracked() from public;

comment on function audit.check_untracked() is
  'Findings: tables that are not tracked in schemas that have tracked ones.';

-- Whether the log can only grow: its guards are on every partition, and fire.
create or replace function audit.check_guard()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with guard as (
    select p.relid, p.parentrelid, audit.name_of(p.relid) as relation, n.name, n.ddl, g.tgenabled
    from pg_partition_tree('audit.log') as p
    cross join (values
      ('refuse_change', 'before update or delete on %s for each row'),
      ('refuse_truncate', 'before truncate on %s for each statement')) as n (name, ddl)
    left join pg_trigger as g on g.tgrelid = p.relid and g.tgname = n.name
      and g.tgfoid = 'audit.refuse_change()'::regprocedure
  )
  select case when g.tgenabled is null then 'guard_missing' else 'guard_disabled' end, 'error',
    format('%I on %s', g.name, g.relation),
    'Rows of the log can be changed or deleted: the trigger that refuses it is '
      || case when g.tgenabled is null then 'gone.' else 'disabled, or not enabled always.' end,
    case when g.tgenabled is null then format('drop trigger if exists %1$I on %2$s; '
      'create trigger %1$I %3$s execute function audit.refuse_change(); ', g.name, g.relation,
      format(g.ddl, g.relation)) else '' end
    || format('alter table %s enable always trigger %I;', g.relation, g.name)
  from guard as g
  where g.tgenabled is distinct from 'A'
    -- The guard of rows comes to the partitions from the log.
    and not (g.name = 'refuse_change' and g.parentrelid is not null
      and exists (select from guard as p
                  where p.relid = g.parentrelid and p.name = g.name
                    and p.tgenabled is not distinct from g.tgenabled))
$$;

revoke all on function audit.check_guard() from public;

comment on function audit.check_guard() is
  'Findings: partitions of the log whose rows can be changed or deleted.';

-- Who may write the log, or read a partition. Partitions are read through the log: a right on one
-- itself is never needed.
create or replace function audit.check_rights()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with relation as (
    select c.oid, c.relowner, c.relacl, audit.name_of(c.oid) as name, c.relkind = 'p' as is_log
    from pg_partition_tree('audit.log') as p
    join pg_class as c on c.oid = p.relid
  ), granted as (
    select r.oid, r.name, r.is_log, a.grantee, a.privilege_type
    from relation as r
    cross join lateral aclexplode(r.relacl) as a
    where a.grantee <> r.relowner
    union
    select r.oid, r.name, r.is_log, a.grantee, a.privilege_type
    from relation as r
    join pg_attribute as t on t.attrelid = r.oid
    cross join lateral aclexplode(t.attacl) as a
    where a.grantee <> r.relowner
  ), grantee as (
    select g.name, case g.grantee when 0 then 'public'
        else quote_ident(pg_get_userbyid(g.grantee)) end as role,
      g.is_log, string_agg(distinct lower(g.privilege_type), ', '
        order by lower(g.privilege_type)) as privileges
    from granted as g
    where (not g.is_log or g.grantee = 0 or g.privilege_type <> 'SELECT')
      -- The role that compiled functions belong to.
      and not (g.is_log and g.privilege_type = 'INSERT'
        and coalesce(g.grantee = to_regrole('audit_writer'), false))
    group by g.name, g.grantee, g.is_log
  )
  select 'log_granted', 'error', format('%s to %s', g.name, g.role),
    format('The privilege %s on %s lets rows be read or written past the triggers and the '
      'policies of the log.', g.privileges, g.name),
    format('revoke %s on %s from %s;', case when g.is_log then g.privileges else 'all' end,
      g.name, g.role)
  from grantee as g
$$;

revoke all on function audit.check_rights() from public;

comment on function audit.check_rights() is
  'Findings: rights that let the wrong people write the log, or read partitions of it.';

-- Whether the log and each partition show every reader one account. Partitions have the policies of
-- the log, or a reader who names one sees what the log hides.
create or replace function audit.check_policies()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with relation as (
    select c.oid, c.relrowsecurity, audit.name_of(c.oid) as name, c.relkind = 'p' as is_log
    from pg_partition_tree('audit.log') as p
    join pg_class as c on c.oid = p.relid
  ), policy as (
    select p.oid, p.polrelid, p.polname, jsonb_build_array(p.polpermissive, p.polcmd,
      p.polroles::text, pg_get_expr(p.polqual, p.polrelid),
      pg_get_expr(p.polwithcheck, p.polrelid)) as content
    from pg_policy as p
    where p.polrelid in (select r.oid from relation as r)
  ), opening as (
    -- Policies of the log that take from all readers what account_policy gives them.
    select p.oid
    from pg_policy as p
    where p.polrelid = 'audit.log'::regclass and p.polname <> 'account_policy' and p.polpermissive
      and p.polcmd <> 'a'
      and (0 = any (p.polroles) or to_regrole('audit_reader') = any (p.polroles))
  ), expected as (
    select o.polname::name, jsonb_build_array(true, o.command, array[o.polrole]::text, o.visible,
      o.writable) as content
    from (values
      ('account_policy', 0::oid, 'r',
       '(account_id = COALESCE(current_setting(''audit.account_id''::text, true), ''''::text))', null),
      ('exporter_policy', to_regrole('audit_exporter')::oid, 'r', 'true', null),
      ('writer_policy', to_regrole('audit_writer')::oid, 'a', null, 'true'))
      as o (polname, polrole, command, visible, writable)
    where o.polrole is not null
    union all
    -- What a DBA added to the log goes for its partitions too.
    select p.polname, p.content
    from policy as p
    where p.polrelid = 'audit.log'::regclass and p.oid not in (select o.oid from opening as o)
      and p.polname not in ('account_policy', 'exporter_policy', 'writer_policy')
  )
  select 'row_security_missing', 'error', r.name,
    'Whoever may read this table sees the rows of every account in it.',
    format('alter table %s enable row level security;', r.name)
  from relation as r
  where not r.relrowsecurity
  union all
  select 'policy_missing', 'error', format('%I on %s', e.polname, r.name),
    'A policy that keeps the accounts apart is not on this table, or is another one there.',
    case when p.oid is not null then format('drop policy %I on %s; ', p.polname, r.name) else '' end
    || 'select audit.grant_rights();'
  from relation as r
  cross join expected as e
  left join policy as p on p.polrelid = r.oid and p.polname = e.polname
  where p.content is distinct from e.content and (r.is_log or e.polname <> 'writer_policy')
  union all
  select 'policy_extra', 'error', format('%I on %s', p.polname, r.name),
    case when r.is_log then 'This policy shows all readers rows of the log that account_policy '
      'hides. Where some shall see more, name their role in it.'
      else 'This policy is not one of the log: it may show rows that the log hides.' end,
    format('drop policy %I on %s;', p.polname, r.name)
  from policy as p
  join relation as r on r.oid = p.polrelid
  where case when r.is_log then p.oid in (select o.oid from opening as o)
    else p.polname not in (select e.polname from expected as e) end
$$;

revoke all on function audit.check_policies() from public;

comment on function audit.check_policies() is
  'Findings: row security and policies that do not keep the accounts apart.';

-- Whose rights compiled functions have, and who else could take them. Members of the two roles may
-- do what the functions may: add any row to the log, read what is looked up.
create or replace function audit.check_writers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with role as (
    select r.oid, r.rolname
    from pg_roles as r
    where r.rolname in ('audit_writer', 'audit_lookup')
  )
  select 'function_rights', 'warning', r.rolname::text,
    format('The owner of the log may not give functions to %s, so that triggers write with all '
      'rights of the owner.', r.rolname),
    format('grant %I to %I; select audit.refresh();', r.rolname, audit.role_for('owner'))
  from role as r
  where audit.role_for(r.rolname) <> r.rolname and exists (select from audit.tracked)
  union all
  select 'role_member', 'warning', format('%I in %I', m.rolname, r.rolname),
    format('%I is a member of %I, and so may %s. The role is for compiled functions alone.',
      m.rolname, r.rolname, case r.rolname when 'audit_writer' then 'add any row to the log'
        else 'read the columns that tracked tables look up' end),
    format('revoke %I from %I;', r.rolname, m.rolname)
  from role as r
  join pg_auth_members as g on g.roleid = r.oid
  join pg_roles as m on m.oid = g.member
  where not audit.is_trusted(m.oid)
$$;

revoke all on function audit.check_writers() from public;

comment on function audit.check_writers() is
  'Findings: compiled functions with more rights than they need, members of their roles.';

-- What rows of the log are read from: its partitions, and the views on them, whichever way round.
create or replace function audit.relations_reading()
  returns setof oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive reading (oid) as (
    select p.relid::oid from pg_partition_tree('audit.log') as p
    union
    select w.ev_class
    from reading as r
    join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = r.oid
      and d.classid = 'pg_rewrite'::regclass
    join pg_rewrite as w on w.oid = d.objid
  )
  select r.oid from reading as r
$$;

revoke all on function audit.relations_reading() from public;

comment on function audit.relations_reading() is
  'The log, its partitions, and all views that read them, through other views too.';

-- Whether readers get to the log as they should: by their roles, and through views that obey the
-- rights of who reads.
create or replace function audit.check_readers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with reading (oid) as materialized (
    select r from audit.relations_reading() as r
  )
  select 'role_missing', 'warning', r.role,
    'The role is not there, so nobody has its rights.',
    format('create role %I nologin; select audit.grant_rights();', r.role)
  from (select distinct r.role from audit.role_rights() as r) as r
  where to_regrole(r.role) is null
  union all
  select 'grant_missing', 'warning', r.role,
    format('The role lacks rights that it should have: %s.',
      string_agg(format('%s on %s', r.privilege, r.object), ', ' order by r.object, r.privilege)),
    'select audit.grant_rights();'
  from audit.role_rights() as r
  where to_regrole(r.role) is not null
    and not case when r.is_function then has_function_privilege(r.role, r.object, r.privilege)
      else has_table_privilege(r.role, r.object, r.privilege) end
  group by r.role
  union all
  select 'view_bypasses', 'error', audit.name_of(c.oid),
    'The view reads the log with the rights of its owner: it shows everybody who may read it '
    'the rows of every account.',
    format('alter view %s set (security_invoker = true);', audit.name_of(c.oid))
  from reading as r
  join pg_class as c on c.oid = r.oid and c.relkind = 'v'
  where not coalesce((
      select o.option_value::boolean from pg_options_to_table(c.reloptions) as o
      where o.option_name = 'security_invoker'), false)
$$;

revoke all on function audit.check_readers() from public;

comment on function audit.check_readers() is
  'Findings: rights that the roles lack, and views that show more than their readers may see.';

-- Whether every moment from now on has its partition.
create or replace function audit.check_partitions()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
declare
  v_first timestamptz;
  v_last timestamptz;
  v_gap record;
begin
  select min(l.lower_bound), max(l.upper_bound) into v_first, v_last
    from audit.partition_list() as l;

  if v_first <> '-infinity' then
    return query select 'partition_missing', 'warning', 'audit.log_past',
      format('The log has no partition for what was before %s: such rows cannot be brought in.',
        v_first),
      format('select audit.add_partition(''log_past'', ''minvalue'', %L);', v_first);
  end if;
  -- What was detached to be kept elsewhere is no fault, as long as nothing is written there.
  for v_gap in
    select p.upper_bound as starts, p.next as ends,
      audit.partition_name(p.upper_bound, p.next) as name
    from (select l.upper_bound, lead(l.lower_bound) over (order by l.lower_bound) as next
          from audit.partition_list() as l) as p
    where p.upper_bound < p.next and p.next > now()
  loop
    return query select 'partition_missing', 'error', format('audit.%I', v_gap.name),
      format('The log has no partition from %s to %s: writes of that time fail.',
        v_gap.starts, v_gap.ends),
      format('select audit.add_partition(%L, %L, %L);', v_gap.name, v_gap.starts, v_gap.ends);
  end loop;
  if v_last <> 'infinity' then
    return query select 'partition_missing', 'error', 'audit.log_future',
      format('The log has no partition for what comes after %s: writes of that time fail.',
        v_last),
      format('select audit.add_partition(''log_future'', %L, ''maxvalue'');', v_last);
  end if;
end;
$$;

revoke all on function audit.check_partitions() from public;

comment on function audit.check_partitions() is
  'Findings: times for which the log has no partition.';

-- How long each moment has a partition of its own: until the spares, and until the one for the rest.
create or replace function audit.check_spares()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
declare
  v_future text;
  v_future_from timestamptz;
  v_wide_from timestamptz;
  v_until timestamptz;
begin
  select l.partition, l.lower_bound into v_future, v_future_from
    from audit.partition_list() as l where l.upper_bound = 'infinity';
  -- Spares of a year are no end: rows find a place there. But they are meant to become partitions
  -- of the interval before.
  select min(l.lower_bound) into v_wide_from
    from audit.partition_list() as l
    where l.lower_bound >= now() + interval '1 day'
      and l.upper_bound > audit.interval_after(l.lower_bound);
  if v_future_from < now() + interval '6 months' or v_wide_from < now() + interval '1 month' then
    return query select 'partitions_running_out',
      case when v_future_from < now() + interval '1 month' then 'error' else 'warning' end,
      'audit.log',
      case when v_future_from < now() + interval '6 months'
        then format('The partitions of the log end at %s; after that all rows go to one.',
          v_future_from)
        else format('From %s on rows go to spare partitions of up to a year: maintenance has been '
          'forgotten.', v_wide_from) end,
      'auditdb maintain';
  end if;
  if v_future is not null then
    execute format('select max(occurred_at) from audit.%I', v_future) into v_until;
  end if;
  if v_until is not null then
    return query select 'rows_in_catch_all', 'warning', format('audit.%I', v_future),
      'Rows lie in the partition for all that is to come: partitions were not made in time, or '
      'the clock of the server was wrong. They can have partitions of their own.',
      format('select audit.add_interval(%L);', v_until);
  end if;
end;
$$;

revoke all on function audit.check_spares() from public;

comment on function audit.check_spares() is
  'Findings: partitions that soon will be missing, and rows in the one for all that is to come.';

-- What the rows themselves tell. Only the last pages of each partition are read, where the newest
-- rows are, so that this takes no longer on a log of ten years.
create or replace function audit.check_rows()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_pages constant bigint := 4096;
  v_partition text;
  v_upper timestamptz;
  v_blocks bigint;
  v_item_type text;
  v_rows bigint;
  v_found jsonb := '{}';
begin
  for v_partition, v_upper in
    select l.partition, l.upper_bound from audit.partition_list() as l
  loop
    v_blocks := pg_relation_size(format('audit.%I', v_partition)::regclass)
      / current_setting('block_size')::bigint;
    continue when v_blocks = 0;
    continue when v_upper < now() - interval '7 days';
    for v_item_type, v_rows in
      execute format('select item_type, count(*) from audit.%I where ctid >= %L '
        'and occurred_at > now() - interval ''7 days'' and occurred_at < now() '
        'and actor_type = ''database'' and item_type not in (''table'', ''log'') group by 1', v_partition,
        format('(%s,0)', greatest(v_blocks - v_pages, 0)))
    loop
      v_found := v_found || jsonb_build_object(v_item_type,
        coalesce((v_found ->> v_item_type)::bigint, 0) + v_rows);
    end loop;
  end loop;

  return query
    select 'actor_missing', 'warning',
      k.tables,
      format('Rows about %s without an actor, of the last 7 days: %s. Somebody wrote without '
        'saying for whom.', e.key, e.value),
      'select audit.set_actor(''system'', ''name of the job''); -- in each of their transactions, '
        'before they write'
    from jsonb_each_text(v_found) as e
    -- Where no table is tracked any more, nobody can do better from now on.
    join (select t.item_type, string_agg(audit.name_of(t.target), ', ' order by t.id) as tables
          from audit.tracked as t group by t.item_type) as k on k.item_type = e.key
    order by e.key;

end;
$$;

revoke all on function audit.check_rows() from public;

comment on function audit.check_rows() is
  'Findings: rows without an actor.';

-- Whether an import is under way, or was left: exports are refused until it is whole or undone.
create or replace function audit.check_import()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with open as (
    select e.number, e.began_at, e.imported, exists (
        select from pg_locks as l
        join pg_stat_activity as a on a.pid = l.pid
        where l.relation = 'audit.era'::regclass and l.mode = 'ShareUpdateExclusiveLock'
          and l.granted and a.backend_type <> 'autovacuum worker'
          and l.database = (select d.oid from pg_database as d where d.datname = current_database())
      ) as is_running
    from audit.era as e
    where e.is_open
  )
  select 'import_open', case when o.is_running then 'warning' else 'error' end, 'audit.log',
    case when o.is_running
      then format('An import is under way since %s: exports wait for it.', o.began_at)
      else format('An import that began at %s was broken off, with %s rows of %s: exports are '
        'refused. The same import can be run again; its sha256 is %s.', o.began_at,
        o.imported ->> 'new_rows', o.imported ->> 'rows', o.imported ->> 'sha256') end,
    case when o.is_running then '-- Wait for it to end.'
      else format('select audit.undo_import(%s);', o.number) end
  from open as o
$$;

revoke all on function audit.check_import() from public;

comment on function audit.check_import() is
  'Findings: an import that is not complete.';

-- Whether the log can be found by its indexes, and holds every letter.
create or replace function audit.check_storage()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'index_invalid', 'error', audit.name_of(i.indexrelid),
    format('The index of %s is not valid: it is not used, and reading is slow.',
      audit.name_of(i.indrelid)),
    -- Left over where REINDEX CONCURRENTLY was broken off; the index that it was made for is there.
    format(case when c.relname ~ '_cc(new|old)[0-9]*$' then 'drop index %s;'
      else 'reindex index %s;' end, audit.name_of(i.indexrelid))
  from pg_partition_tree('audit.log') as p
  join pg_class as r on r.oid = p.relid
  join pg_index as i on i.indrelid in (r.oid, r.reltoastrelid)
  join pg_class as c on c.oid = i.indexrelid
  where not (i.indisvalid and i.indisready and i.indislive) and p.isleaf
    -- Whoever is at it holds this lock: REINDEX on the index, CREATE INDEX on its table.
    and not exists (
      select from pg_locks as l
      where l.mode = 'ShareUpdateExclusiveLock' and l.granted
        and l.database = (select d.oid from pg_database as d where d.datname = current_database())
        and l.relation = case when c.relname ~ '_cc(new|old)[0-9]*$' then i.indexrelid
          else i.indrelid end)
  union all
  select 'encoding_wrong', 'error', quote_ident(d.datname),
    format('The encoding of the database is %s: it cannot hold every letter, or holds bytes that '
      'are none. Make another, then pg_dump and pg_restore.', pg_encoding_to_char(d.encoding)),
    format('create database %I template template0 encoding ''UTF8'';', d.datname || '_utf8')
  from pg_database as d
  where d.datname = current_database() and pg_encoding_to_char(d.encoding) <> 'UTF8'
$$;

revoke all on function audit.check_storage() from public;

comment on function audit.check_storage() is
  'Findings: invalid indexes of the log, and an encoding other than UTF-8.';

-- Whether rows of the log were changed: PostgreSQL counts what is updated and deleted, also of rows
-- of a partition that was detached meanwhile. And what lets rows be changed or left out on their way.
create or replace function audit.check_changes()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with relation as (
    select c.oid, c.relkind, c.relpersistence, audit.name_of(c.oid) as name
    from pg_partition_tree('audit.log') as p
    join pg_class as c on c.oid = p.relid
  ), counted as (
    select r.name, r.oid, pg_stat_get_tuples_updated(r.oid) as updated,
      pg_stat_get_tuples_deleted(r.oid) as deleted,
      -- What audit.undo_import() takes out is meant to go.
      sum(pg_stat_get_tuples_deleted(r.oid)) over () > (
        select coalesce(sum((e.imported ->> 'new_rows')::bigint), 0)
        from audit.era as e where e.kind = 'undone') as are_too_many
    from relation as r
  )
  select 'rows_changed', 'error', n.name,
    format('Rows of it were changed (%s) or deleted (%s), or somebody tried, since PostgreSQL '
      'counts. Compare it with an export (auditdb verify), then begin to count anew.',
      n.updated, n.deleted),
    format('select pg_stat_reset_single_table_counters(%L::regclass);', n.name)
  from counted as n
  where n.updated > 0 or n.deleted > 0 and n.are_too_many
  union all
  select 'log_unlogged', 'error', r.name,
    'The table is unlogged: after a crash of the server all of its rows are gone.',
    format('alter table %s set logged;', r.name)
  from relation as r
  where r.relkind = 'r' and r.relpersistence <> 'p'
  union all
  select 'rule_extra', 'error', format('%I on %s', w.rulename, r.name),
    'The rule does something else with rows that are written to the log, or nothing.',
    format('drop rule %I on %s;', w.rulename, r.name)
  from relation as r
  join pg_rewrite as w on w.ev_class = r.oid
  union all
  select 'trigger_extra', 'error', format('%I on %s', g.tgname, r.name),
    format('The trigger is not one of the log: %s may change rows, or leave them out.',
      g.tgfoid::regprocedure),
    format('drop trigger %I on %s;', g.tgname, r.name)
  from relation as r
  join pg_trigger as g on g.tgrelid = r.oid
  where not g.tgisinternal and g.tgparentid = 0
    and not (g.tgname in ('refuse_change', 'refuse_truncate')
      and g.tgfoid = 'audit.refuse_change()'::regprocedure)
    and not (g.tgname = 'reopen_partition'
      and g.tgfoid = 'audit.reopen_partition()'::regprocedure)
$$;

revoke all on function audit.check_changes() from public;

comment on function audit.check_changes() is
  'Findings: rows of the log that were changed, and what could change them.';

-- Whether the eras of the log hang together: rows are written in the newest one, and all are of one
-- log. Exports count by them, so a row too many makes them leave rows out.
create or replace function audit.check_eras()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with written as (
    select coalesce(substring(pg_get_expr(d.adbin, d.adrelid) from '\d+'), '')::text as era
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'audit.log'::regclass and a.attname = 'era'
  )
  select 'era_wrong', 'error', 'audit.era', f.message,
    'select audit.begin_era(); -- after what was added by hand is deleted from audit.era'
  from (
    select format('Rows are written as of era %s, and the newest that is complete is %s.', w.era,
      (select max(e.number) from audit.era as e where not e.is_open)) as message
    from written as w
    where w.era is distinct from
      (select max(e.number)::text from audit.era as e where not e.is_open)
    union all
    select 'The eras are not of one log, or not numbered one after the other.'
    from audit.era as e
    having count(distinct e.log) <> 1 or max(e.number) <> count(*) or min(e.number) <> 1
      or count(*) filter (where e.is_open) > 1
    limit 1
  ) as f
  union all
  select 'era_foreign', 'warning', 'audit.era',
    'The log was restored on another server, where transaction ids count from somewhere else: '
    'exports go on when it is told so.',
    'select audit.begin_era();'
  from audit.era as e
  where e.number = (select max(m.number) from audit.era as m)
    and e.server <> (select s.system_identifier from pg_control_system() as s)
$$;

revoke all on function audit.check_eras() from public;

comment on function audit.check_eras() is 'Findings: eras that do not hang together.';

-- Rows of another server, which logical replication writes to the log, or wrote: they carry that
-- server's transaction ids. Of rows of this one, none that is seen has an id that was not given out,
-- but for those that the present transaction wrote.
create or replace function audit.check_replication()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'log_replicated', 'error', quote_ident(s.subname),
    'The subscription writes rows of another server to the log, whose transaction ids do not count '
      'here: exports and log --follow are refused. Export from the server that publishes them; or '
      'begin an era, end the subscription, and begin with another state file.',
    format('select audit.begin_era(); -- and then, by itself: drop subscription %I;', s.subname)
  from pg_subscription_rel as w
  join pg_subscription as s on s.oid = w.srsubid
  where pg_partition_root(w.srrelid) = 'audit.log'::regclass
  group by s.subname
  union all
  select 'rows_foreign', 'error', 'audit.log',
    'The log has rows with transaction ids that this server has not given out yet, as after '
      'replication from another one: exports and log --follow are refused. Begin with another state '
      'file afterwards.',
    'select audit.begin_era();'
  from audit.era as e
  where e.number = (select max(m.number) from audit.era as m where not m.is_open)
    -- Of a log that was restored on another server check_eras() tells.
    and e.server = (select c.system_identifier from pg_control_system() as c)
    and exists (select from audit.log as l
                where l.era = e.number
                  and l.tx >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                  and l.tx is distinct from pg_current_xact_id_if_assigned()::text::bigint)
$$;

revoke all on function audit.check_replication() from public;

comment on function audit.check_replication() is
  'Findings: rows of another server, that a subscription writes to the log or wrote.';

-- Whether what is known of closed partitions fits them: readers leave out those that are said to have
-- no row of an item. Counting every row would take too long, so the number of them is held to what
-- PostgreSQL counted when it froze the partition.
create or replace function audit.check_summaries()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive account (id) as (
    -- From one account to the next by the index: each has a row for every partition, its items many.
    select min(p.account_id) from audit.presence as p
    union all
    select (select min(p.account_id) from audit.presence as p where p.account_id > a.id)
    from account as a where a.id is not null
  ), summed as (
    select p.partition, sum(p.rows) as rows
    from account as a
    join audit.presence as p on p.account_id = a.id and p.item_type = '' and p.item_id = ''
    group by p.partition
  ), closed as (
    select s.partition, s.lower_bound, s.upper_bound, c.oid, l.partition is not null as is_there,
      s.lower_bound = l.lower_bound and s.upper_bound = l.upper_bound as is_same,
      c.reltuples, pg_relation_size(c.oid) as size,
      coalesce(m.rows, 0) as rows,
      exists (select from pg_trigger as g
        where g.tgrelid = c.oid and g.tgname = 'reopen_partition' and g.tgenabled = 'A'
          and g.tgfoid = 'audit.reopen_partition()'::regprocedure) as is_watched
    from audit.closed_partition as s
    left join audit.partition_list() as l on l.partition = s.partition
    left join summed as m on m.partition = s.partition
    left join pg_class as c on c.oid = to_regclass(format('audit.%I', s.partition))
  )
  select 'summary_wrong', 'error', format('audit.%I', c.partition),
    case when not c.is_same then 'It is on the list of closed partitions with other bounds.'
      when c.upper_bound > now() - interval '7 days'
        then 'It is on the list of closed partitions, and its time is not over.'
      when not c.is_watched then 'It is on the list of closed partitions, but the trigger is gone '
        'that takes it off when a row comes.'
      else format('It has %s rows or so, and its summary tells of %s: readers do not find them.',
        greatest(c.reltuples, 0), c.rows) end,
    format('delete from audit.closed_partition where partition = %L; -- then: auditdb maintain',
      c.partition)
  from closed as c
  -- Of a partition that was detached the list is cleared with the next that is closed.
  where c.is_there
    and (not c.is_same or c.upper_bound > now() - interval '7 days' or not c.is_watched
      or c.rows = 0 and c.size > 0 and c.reltuples <> 0
      or c.rows > 0 and c.size = 0
      or c.reltuples > 1000 and c.rows not between c.reltuples * 0.9 and c.reltuples * 1.1)
$$;

revoke all on function audit.check_summaries() from public;

comment on function audit.check_summaries() is
  'Findings: closed partitions that are not what is known of them.';

-- Whether closed partitions hold as many rows of each account as they did when they were closed. It
-- reads them whole, so audit.check() leaves it out, and auditdb check --thorough asks.
create or replace function audit.check_counts()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
as $$
declare
  v_partition text;
  v_accounts bigint;
begin
  for v_partition in
    select c.partition
    from audit.closed_partition as c
    join audit.partition_list() as l on l.partition = c.partition
    order by c.lower_bound
  loop
    execute format(
      'select count(*) from (select l.account_id, count(*) as rows from audit.%1$I as l group by 1) as l '
      'full join (select p.account_id, p.rows from audit.presence as p where p.partition = %1$L '
      'and p.item_type = '''' and p.item_id = '''') as p on p.account_id = l.account_id '
      'where p.rows is distinct from l.rows', v_partition)
      into v_accounts;
    if v_accounts > 0 then
      return query select 'summary_wrong', 'error', format('audit.%I', v_partition),
        format('Of %s accounts it has not as many rows as it had when it was closed: rows are gone or '
          'came past its trigger, or its summary was changed.', v_accounts),
        format('delete from audit.closed_partition where partition = %L; -- compare it with an '
          'export; then: auditdb maintain', v_partition);
    end if;
  end loop;
end;
$$;

revoke all on function audit.check_counts() from public;

comment on function audit.check_counts() is
  'Findings: closed partitions with more rows or fewer than they were closed with.';

-- What hands the log to others beside its views: materialised views, which hold its rows without its
-- policies, and functions that read it with the rights of their owner. The text of a function is
-- searched for the names, so one that puts them together is not found.
create or replace function audit.check_strangers()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with reading (oid) as materialized (
    select r from audit.relations_reading() as r
  )
  select 'view_copies', 'error', audit.name_of(c.oid),
    format('The materialised view holds rows of the log, which no policy keeps apart, for %s.',
      string_agg(distinct case x.grantee when 0 then 'public'
        else quote_ident(pg_get_userbyid(x.grantee)) end, ', ')),
    string_agg(distinct format('revoke all on %s from %s;', audit.name_of(c.oid),
      case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end), ' ')
  from reading as r
  join pg_class as c on c.oid = r.oid and c.relkind = 'm'
  cross join lateral aclexplode(c.relacl) as x
  where x.grantee <> c.relowner
  group by c.oid
  union all
  select 'function_bypasses', 'warning', f.oid::regprocedure::text,
    'The function reads the log with the rights of its owner, and everybody may call it.',
    format('revoke execute on function %s from public;', f.oid::regprocedure)
  from pg_proc as f
  where f.prosecdef and f.prokind in ('f', 'p')
    and f.pronamespace not in ('audit'::regnamespace, 'pg_catalog'::regnamespace)
    and exists (select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as x
                where x.grantee = 0 and x.privilege_type = 'EXECUTE')
    and (f.prosrc ~* '\maudit"?\s*\.\s*"?(log|events|changes|item_log|tree_log)'
      or exists (select from pg_depend as d
                 where d.classid = 'pg_proc'::regclass and d.objid = f.oid
                   and d.refclassid = 'pg_class'::regclass
                   and d.refobjid in (select r.oid from reading as r)))
  union all
  select 'log_published', 'info', quote_ident(p.pubname),
    'The publication takes rows of the log out of the database, to whoever subscribes to it.', ''
  from pg_publication as p
  where p.puballtables
    or exists (select from pg_publication_tables as t
               where t.pubname = p.pubname and t.schemaname = 'audit')
$$;

revoke all on function audit.check_strangers() from public;

comment on function audit.check_strangers() is
  'Findings: materialised views, functions and publications that hand the log to others.';

-- Sessions that hold something back, and settings and subscriptions that change what fires.
create or replace function audit.check_sessions(pending_after interval)
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'prepared_transaction_old', 'warning', p.gid,
    format('The transaction was prepared at %s in database %s and is still open: what reads the '
      'log by watermark stops before it.', to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SSOF'),
      p.database),
    format('rollback prepared %L;', p.gid)
  from pg_prepared_xacts as p
  where p.prepared < clock_timestamp() - check_sessions.pending_after
  union all
  select 'transaction_old', 'warning', format('process %s', a.pid),
    format('A transaction of %s in database %s has been writing since %s: what reads the log by '
      'watermark stops before it.', a.usename, a.datname,
      to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SSOF')),
    format('select pg_terminate_backend(%s);', a.pid)
  from pg_stat_activity as a
  where a.backend_xid is not null and a.pid <> pg_backend_pid()
    and a.xact_start < clock_timestamp() - check_sessions.pending_after
  union all
  select 'sessions_hidden', 'warning', quote_ident(current_user::text),
    'Of sessions of other roles the owner of the log does not see since when they write, so old '
    'transactions are not found.',
    format('grant pg_read_all_stats to %I;', current_user)
  where not pg_has_role(current_user, 'pg_read_all_stats', 'usage')
  union all
  select 'replica_by_default', 'warning',
    concat_ws(' in ', 'role ' || quote_ident(r.rolname), 'database ' || quote_ident(d.datname)),
    'session_replication_role is set here: tracking goes on, but foreign keys and the '
    'application''s own triggers do not fire.',
    case when r.rolname is null then format('alter database %I', d.datname)
      when d.datname is null then format('alter role %I', r.rolname)
      else format('alter role %I in database %I', r.rolname, d.datname) end
    || ' reset session_replication_role;'
  from pg_db_role_setting as s
  left join pg_roles as r on r.oid = s.setrole
  left join pg_database as d on d.oid = s.setdatabase
  where (s.setdatabase = 0 or d.datname = current_database())
    and exists (select from unnest(s.setconfig) as c
                where c in ('session_replication_role=replica', 'session_replication_role=local'))
  union all
  select 'replica_by_default', 'warning', 'server',
    'session_replication_role is set for all of the server: tracking goes on, but foreign keys and '
    'the application''s own triggers do not fire.',
    'alter system reset session_replication_role; select pg_reload_conf();'
  from pg_settings as s
  where s.name = 'session_replication_role' and s.setting <> 'origin'
    and s.source in ('configuration file', 'command line', 'environment variable')
  union all
  select 'subscription_writes', 'error', format('%I to %s', s.subname, audit.name_of(w.srrelid)),
    'A subscription writes to the table: after the initial copy, its insertions and deletions fire no '
    'statement triggers and are missed. Track the table where it is written first.',
    format('alter subscription %I disable;', s.subname)
  from pg_subscription_rel as w
  join pg_subscription as s on s.oid = w.srsubid
  where s.subenabled
    and w.srrelid in (select r from audit.tracked as k
                      cross join lateral audit.triggered_relations(k.target) as r)
$$;

revoke all on function audit.check_sessions(interval) from public;

comment on function audit.check_sessions(interval) is
  'Findings: old transactions that are pending, and what keeps triggers from firing.';

-- How large the log is, how fast it grows, and how long its partitions last: information. The number
-- of rows is what PostgreSQL last counted, where it did.
create or replace function audit.check_size()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with partition as (
    select l.lower_bound, l.upper_bound, pg_relation_size(c.oid) > 0 as has_rows,
      pg_total_relation_size(c.oid) as bytes, c.reltuples
    from audit.partition_list() as l
    join pg_class as c on c.oid = to_regclass(format('audit.%I', l.partition))
  ), filled as (
    select p.*, extract(epoch from least(p.upper_bound, now()) - p.lower_bound) as seconds
    from partition as p
    where p.upper_bound > now() - interval '3 months' and p.lower_bound < now()
      and isfinite(p.lower_bound) and p.has_rows
  )
  select 'log_size', 'info', 'audit.log',
    case
      when c.unknown = 0 then format('The log takes %s, with %s rows or so in %s partitions.',
        c.size, coalesce(c.rows, 0), c.partitions)
      when c.known = 0 then format('The log takes %s in %s partitions. Its rows were never counted.',
        c.size, c.partitions)
      else format('The log takes %s in %s partitions. %s with rows have %s or so; those of %s more '
        'were never counted.', c.size, c.partitions, c.known, c.rows, c.unknown) end,
    case when c.unknown > 0 then 'analyze audit.log;' else '' end
  from (
    select pg_size_pretty(sum(p.bytes)) as size, count(*) as partitions,
      sum(p.reltuples) filter (where p.has_rows and p.reltuples >= 0)::bigint as rows,
      count(*) filter (where p.has_rows and p.reltuples < 0) as unknown,
      count(*) filter (where p.has_rows and p.reltuples >= 0) as known
    from partition as p
  ) as c
  union all
  select 'log_growth', 'info', 'audit.log',
    format('Of late it has grown by %s a month.',
      pg_size_pretty((sum(f.bytes) / greatest(sum(f.seconds), 86400) * 86400 * 30)::bigint)),
    ''
  from filled as f
  having count(*) > 0
  union all
  select 'months_ahead', 'info', 'audit.log',
    format('Partitions are made for %s months ahead.',
      greatest(0, extract(year from a.span) * 12 + extract(month from a.span))),
    ''
  -- After them come spare ones of a year.
  from (select age(min(p.lower_bound), now()) as span from partition as p
        where p.lower_bound > now() and p.upper_bound > audit.interval_after(p.lower_bound)) as a
  where a.span is not null
$$;

revoke all on function audit.check_size() from public;

comment on function audit.check_size() is 'Findings of information: size, growth, months ahead.';

-- All that can be wrong with the log, looked for in the catalogue. It reads with the rights of its
-- owner, so that a role for monitoring needs the right to call it and nothing else. What the session
-- is set to changes neither what is found nor how it is told. Whether the code is what was installed
-- it cannot say of itself: auditdb check asks that first.
create or replace function audit.check(pending_after interval default '1 hour')
  returns setof audit.finding
  language sql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
  set transform_null_equals = off
  set array_nulls = on
  set timezone = 'UTC'
  set datestyle = 'ISO, YMD'
  set intervalstyle = 'postgres'
  set extra_float_digits = 1
  set bytea_output = 'hex'
  set row_security = on
  set lock_timeout = '5s'
  set jit = off
as $$
  select * from audit.check_event_triggers()
  union all
  select * from audit.check_tables()
  union all
  select * from audit.check_functions()
  union all
  select * from audit.check_layouts()
  union all
  select * from audit.check_layout_readers()
  union all
  select * from audit.check_triggers()
  union all
  select * from audit.check_restored()
  union all
  select * from audit.check_untracked()
  union all
  select * from audit.check_guard()
  union all
  select * from audit.check_rights()
  union all
  select * from audit.check_policies()
  union all
  select * from audit.check_writers()
  union all
  select * from audit.check_readers()
  union all
  select * from audit.check_partitions()
  union all
  select * from audit.check_spares()
  union all
  select * from audit.check_import()
  union all
  select * from audit.check_rows()
  union all
  select * from audit.check_storage()
  union all
  select * from audit.check_changes()
  union all
  select * from audit.check_eras()
  union all
  select * from audit.check_replication()
  union all
  select * from audit.check_summaries()
  union all
  select * from audit.check_strangers()
  union all
  select * from audit.check_sessions(pending_after)
  union all
  select * from audit.check_size()
$$;

revoke all on function audit.check(interval) from public;

comment on function audit.check(interval) is
  'Public. What is wrong with the log, each with the command that mends it, and what is good to know '
  'of it, whose severity is info.';

-- The log is ready for its first row: two years of months and a catch-all at both ends.
select audit.maintain();

-- Rights of the three roles, as far as they exist, and row security: run at install, and after a DBA
-- created roles or policies.
create or replace function audit.grant_rights()
  returns setof text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_relation regclass;
  v_grant text;
  v_waits constant text := audit.bound_waits();
begin
  begin
    -- Of several upgrades at once the first grants; those after it find nothing to do. A table of
    -- the log's own, which nobody but its owner can lock.
    lock table audit.option in share row exclusive mode;
    for v_relation in select p.relid from pg_partition_tree('audit.log') as p order by p.level desc
    loop
      perform audit.protect(v_relation);
    end loop;

    if to_regrole('audit_exporter') is not null then
      foreach v_relation in array array['audit.presence', 'audit.belonging']::regclass[] loop
        if not exists (select from pg_policy as p
                       where p.polrelid = v_relation and p.polname = 'exporter_policy') then
          execute format('create policy exporter_policy on %s for select to audit_exporter '
            'using (not audit.has_own_policies())', audit.name_of(v_relation));
        end if;
      end loop;
    end if;

    for v_grant in
      select format('grant %s on %s%s to %I', r.privilege,
        case when r.is_function then 'function ' else '' end, r.object, r.role)
      from audit.role_rights() as r
      where to_regrole(r.role) is not null
        and not case when r.is_function then has_function_privilege(r.role, r.object, r.privilege)
          else has_table_privilege(r.role, r.object, r.privilege) end
    loop
      execute v_grant;
    end loop;
  exception
    when lock_not_available then
      perform audit.gave_up(
        array['audit.option', 'audit.log', 'audit.presence', 'audit.belonging']);
  end;
  perform set_config('lock_timeout', v_waits, true);

  return query
    select format('create role %I nologin;', r.name)
    from unnest(array['audit_reader', 'audit_exporter', 'audit_maintainer']) as r (name)
    where to_regrole(r.name) is null;
  if found then
    return next 'select audit.grant_rights();';
  end if;
end;
$$;

revoke all on function audit.grant_rights() from public;

comment on function audit.grant_rights() is
  'Public. Gives the roles of the log their rights; returns what a DBA has to run where one is '
  'missing.';

-- The roles get their rights on all that is there now; what a DBA has to do first is printed.
select audit.grant_rights();
