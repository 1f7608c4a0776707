-- Which features a license has, and how far they are used up.
create table licensing.license_features (
  license_id         bigint      not null,
  product_feature_id bigint      not null,
  max_consumption    bigint,
  allows_overages    boolean     not null default false,
  expires_at         timestamptz,
  total_consumption  bigint      not null default 0,
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),
  constraint license_features_pkey primary key (license_id, product_feature_id),
  constraint license_features_license_id_fkey
    foreign key (license_id) references licensing.licenses (id) on delete cascade,
  constraint license_features_product_feature_id_fkey
    foreign key (product_feature_id) references licensing.product_features (id),
  constraint license_features_max_consumption_check check (max_consumption >= 0),
  constraint license_features_total_consumption_check check (total_consumption >= 0)
);

create index license_features_product_feature_id_idx
  on licensing.license_features (product_feature_id);

comment on table licensing.license_features is 'One row for each feature of each license.';
comment on column licensing.license_features.license_id is 'License that has the feature.';
comment on column licensing.license_features.product_feature_id is 'The feature.';
comment on column licensing.license_features.max_consumption is
  'How many units may be consumed, null if unlimited.';
comment on column licensing.license_features.allows_overages is
  'Whether consumption may go beyond the limit.';
comment on column licensing.license_features.expires_at is
  'When the feature ends, null if with the license.';
comment on column licensing.license_features.total_consumption is
  'How many units were consumed; operational.';
comment on column licensing.license_features.created_at is 'When the row was made; operational.';
comment on column licensing.license_features.updated_at is
  'When the application last changed the row; operational.';
