-- Customers: created, changed, deleted.
select audit.track(
  'licensing.customers',
  item_type => 'customer',
  item_label => 'email',
  account => 'account_id',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "customer_created", "on": "insert",
     "label": "Customer created",
     "description": "A customer was created."},
    {"action": "customer_updated", "on": "update",
     "label": "Customer updated",
     "description": "The data of a customer changed."},
    {"action": "customer_deleted", "on": "delete",
     "label": "Customer deleted",
     "description": "A customer was deleted."}
  ]$$
);
