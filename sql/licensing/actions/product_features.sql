-- A product's features are saved with the product.
select audit.track(
  'licensing.product_features',
  item_type => 'product',
  item_id => 'product_id',
  item_label => 'product.name',
  account => 'product.account_id',
  lookups => '{"product": "product_id"}',
  part => 'features',
  part_name => 'code',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "product_updated", "on": ["insert", "update", "delete"], "grouped": true,
     "label": "Product updated",
     "description": "The data, features or custom fields of a product changed."}
  ]$$
);
