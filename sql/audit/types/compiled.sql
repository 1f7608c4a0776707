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
