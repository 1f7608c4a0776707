-- Who looks after an order: each manager is an action of its own.
select audit.track(
  'licensing.order_managers',
  item_type => 'order',
  item_id => 'order_id',
  item_label => 'coalesce(orders.reference, orders.store_id)',
  account => 'orders.account_id',
  lookups => '{"orders": "order_id", "manager": "license_user_id"}',
  part => 'managers',
  part_name => 'manager.email',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "order_manager_added", "on": "insert",
     "label": "Order manager added",
     "description": "A license user was made a manager of an order."},
    {"action": "order_manager_removed", "on": "delete",
     "label": "Order manager removed",
     "description": "A license user is no longer a manager of an order."}
  ]$$
);
