-- Where counting by transaction begins anew: at install, after a restore, after an import.
create table audit.era (
  number   integer     not null,
  log      uuid        not null,
  server   bigint      not null,
  kind     text        collate "C" not null,
  is_open  boolean     not null default false,
  began_at timestamptz not null default clock_timestamp(),
  constraint era_pkey primary key (number),
  constraint era_kind_check check (kind in ('installed', 'restored', 'imported'))
);

revoke all on audit.era from public;

comment on table audit.era is
  'One row for each time from which on the transaction ids in the log are of this server.';
comment on column audit.era.number is 'Number of the era, from 1 on.';
comment on column audit.era.log is 'Identity of the log, kept when it is restored elsewhere.';
comment on column audit.era.server is 'Identifier of the server whose transaction ids count.';
comment on column audit.era.kind is 'What began the era: installed, restored or imported.';
comment on column audit.era.is_open is
  'Whether an import is under way, whose rows are not all there yet.';
comment on column audit.era.began_at is 'When the era began.';

insert into audit.era (number, log, server, kind)
select 1, gen_random_uuid(), s.system_identifier, 'installed'
from pg_control_system() as s;
