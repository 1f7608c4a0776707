-- What a template of permissions says, resource by resource.
create table licensing.user_permission_template_permissions (
  template_id bigint      not null,
  resource    text        not null,
  level       text        not null default 'none',
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  constraint user_permission_template_permissions_pkey primary key (template_id, resource),
  constraint user_permission_template_permissions_template_id_fkey
    foreign key (template_id) references licensing.user_permission_templates (id)
    on delete cascade,
  constraint user_permission_template_permissions_level_check
    check (level in ('none', 'read', 'manage'))
);

comment on table licensing.user_permission_template_permissions is
  'One row for each resource in each template.';
comment on column licensing.user_permission_template_permissions.template_id is
  'Template that the permission is part of.';
comment on column licensing.user_permission_template_permissions.resource is
  'Kind of thing that the permission is about.';
comment on column licensing.user_permission_template_permissions.level is
  'Level of access: none, read or manage.';
comment on column licensing.user_permission_template_permissions.created_at is
  'When the row was made; operational.';
comment on column licensing.user_permission_template_permissions.updated_at is
  'When the application last changed the row; operational.';
