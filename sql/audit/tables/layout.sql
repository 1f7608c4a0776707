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
