-- A product's custom fields are saved with the product.
select audit.track(
  'licensing.product_custom_fields',
  item_type => 'product',
  item_id => 'product_id',
  item_label => 'product.name',
  account => 'product.account_id',
  lookups => '{"product": "product_id"}',
  part => 'custom_fields',
  part_name => 'name',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "product_updated", "on": ["insert", "update", "delete"], "grouped": true,
     "label": "Product updated",
     "description": "The data, features or custom fields of a product changed."}
  ]$$
);
