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
