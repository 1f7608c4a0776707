-- The functions that read records, before there is any layout: views name them.
select audit.derive_layouts();

grant execute on function
  audit.record_changes(integer, text, boolean), audit.record_values(integer, text) to public;

comment on function audit.record_changes(integer, text, boolean) is
  'What a created or deleted row was, as audit.events shows it in changes. Made anew for each layout.';
comment on function audit.record_values(integer, text) is
  'The values in a record of the log, by column. Made anew for each layout.';
