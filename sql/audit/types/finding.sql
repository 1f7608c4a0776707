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
