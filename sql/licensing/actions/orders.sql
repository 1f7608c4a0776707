-- Orders: created, changed, deleted.
select audit.track(
  'licensing.orders',
  item_type => 'order',
  item_label => 'coalesce(reference, store_id)',
  account => 'account_id',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "order_created", "on": "insert",
     "label": "Order created",
     "description": "An order was created."},
    {"action": "order_updated", "on": "update",
     "label": "Order updated",
     "description": "The data of an order changed."},
    {"action": "order_deleted", "on": "delete",
     "label": "Order deleted",
     "description": "An order was deleted, its licenses with it."}
  ]$$
);
