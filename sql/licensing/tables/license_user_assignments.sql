-- Which license users may use a license.
create table licensing.license_user_assignments (
  license_id        bigint      not null,
  license_user_id   bigint      not null,
  max_activations   integer     default 1,
  total_activations integer     not null default 0,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  constraint license_user_assignments_pkey primary key (license_id, license_user_id),
  constraint license_user_assignments_license_id_fkey
    foreign key (license_id) references licensing.licenses (id) on delete cascade,
  constraint license_user_assignments_license_user_id_fkey
    foreign key (license_user_id) references licensing.license_users (id),
  constraint license_user_assignments_max_activations_check check (max_activations >= 0),
  constraint license_user_assignments_total_activations_check check (total_activations >= 0)
);

create index license_user_assignments_license_user_id_idx
  on licensing.license_user_assignments (license_user_id);

comment on table licensing.license_user_assignments is
  'One row for each license user of each license.';
comment on column licensing.license_user_assignments.license_id is 'License that is assigned.';
comment on column licensing.license_user_assignments.license_user_id is
  'License user who may use it.';
comment on column licensing.license_user_assignments.max_activations is
  'How many devices the user may have active, null if unlimited.';
comment on column licensing.license_user_assignments.total_activations is
  'How many devices the user activated; operational.';
comment on column licensing.license_user_assignments.created_at is
  'When the row was made; operational.';
comment on column licensing.license_user_assignments.updated_at is
  'When the application last changed the row; operational.';
