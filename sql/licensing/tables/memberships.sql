-- Who works for which vendor, and what they may do there.
create table licensing.memberships (
  account_id       bigint      not null,
  platform_user_id bigint      not null,
  is_admin         boolean     not null default false,
  permissions      jsonb       not null default '{}',
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  constraint memberships_pkey primary key (account_id, platform_user_id),
  constraint memberships_account_id_fkey
    foreign key (account_id) references licensing.accounts (id),
  constraint memberships_platform_user_id_fkey
    foreign key (platform_user_id) references licensing.platform_users (id),
  constraint memberships_permissions_is_object_check check (jsonb_typeof(permissions) = 'object'),
  constraint memberships_permissions_levels_check
    check (
      not jsonb_path_exists(
        permissions,
        'strict $.* ? (@.type() != "string"
          || (@ != "none" && @ != "read" && @ != "manage"))'
      )
    )
);

create index memberships_platform_user_id_idx on licensing.memberships (platform_user_id);

comment on table licensing.memberships is
  'One row for each person in each account that they work for.';
comment on column licensing.memberships.account_id is 'Account that the person works for.';
comment on column licensing.memberships.platform_user_id is 'The person.';
comment on column licensing.memberships.is_admin is
  'Whether the person may do everything in the account.';
comment on column licensing.memberships.permissions is
  'Level of access for each resource: none, read or manage.';
comment on column licensing.memberships.created_at is 'When the row was made; operational.';
comment on column licensing.memberships.updated_at is
  'When the application last changed the row; operational.';
