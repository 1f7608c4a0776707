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
