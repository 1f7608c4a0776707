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
