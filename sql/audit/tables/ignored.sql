-- Tables of which somebody decided that they are not tracked.
create table audit.ignored (
  target regclass not null,
  constraint ignored_pkey primary key (target)
);

revoke all on audit.ignored from public;

comment on table audit.ignored is
  'One row for each table that audit.check() says nothing of, though others of its schema are tracked.';
comment on column audit.ignored.target is 'The table.';
