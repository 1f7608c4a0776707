-- Which license users look after an order on the customer's side.
create table licensing.order_managers (
  order_id        bigint      not null,
  license_user_id bigint      not null,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  constraint order_managers_pkey primary key (order_id, license_user_id),
  constraint order_managers_order_id_fkey
    foreign key (order_id) references licensing.orders (id) on delete cascade,
  constraint order_managers_license_user_id_fkey
    foreign key (license_user_id) references licensing.license_users (id)
);

create index order_managers_license_user_id_idx on licensing.order_managers (license_user_id);

comment on table licensing.order_managers is 'One row for each manager of each order.';
comment on column licensing.order_managers.order_id is 'Order that is managed.';
comment on column licensing.order_managers.license_user_id is 'License user who manages the order.';
comment on column licensing.order_managers.created_at is 'When the row was made; operational.';
comment on column licensing.order_managers.updated_at is
  'When the application last changed the row; operational.';
