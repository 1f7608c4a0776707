-- Where counting by transaction begins anew: at install, after a restore, after an import.
create table audit.era (
  number   integer     not null,
  log      uuid        not null,
  server   bigint      not null,
  kind     text        collate "C" not null,
  is_open  boolean     not null default false,
  began_at timestamptz not null default clock_timestamp(),
  imported jsonb,
  constraint era_pkey primary key (number),
  constraint era_kind_check
    check (kind in ('installed', 'restored', 'replicated', 'imported', 'undone', 'undo')),
  constraint era_imported_check check ((kind in ('imported', 'undone')) = (imported is not null))
);

revoke all on audit.era from public;

comment on table audit.era is
  'One row for each time from which on the transaction ids in the log are of this server.';
comment on column audit.era.number is 'Number of the era, from 1 on.';
comment on column audit.era.log is 'Identity of the log, kept when it is restored elsewhere.';
comment on column audit.era.server is 'Identifier of the server whose transaction ids count.';
comment on column audit.era.kind is
  'What began the era: installed, restored, replicated, imported; undone, an import that was undone '
  'since; undo, when it was.';
comment on column audit.era.is_open is
  'Whether an import is under way, whose rows are not all there yet.';
comment on column audit.era.began_at is 'When the era began.';
comment on column audit.era.imported is
  'What was imported: the hash, log and rows of the export, its first and last time (since, until), '
  'how many rows were new, and which layouts. Its rows in audit.log have minus the number as era.';

insert into audit.era (number, log, server, kind)
select 1, gen_random_uuid(), s.system_identifier, 'installed'
from pg_control_system() as s;
