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
