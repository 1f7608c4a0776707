-- A license's custom fields: each is an action of its own.
select audit.track(
  'licensing.license_custom_fields',
  item_type => 'license',
  item_id => 'license_id',
  item_label => 'right(license.license_key, 4)',
  account => 'license.account_id',
  lookups => '{"license": "license_id", "field": "product_custom_field_id"}',
  part => 'custom_fields',
  part_name => 'field.name',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "license_custom_field_created", "on": "insert",
     "label": "License custom field created",
     "description": "A license was given a custom field."},
    {"action": "license_custom_field_updated", "on": "update",
     "label": "License custom field updated",
     "description": "The value of a license's custom field changed."},
    {"action": "license_custom_field_deleted", "on": "delete",
     "label": "License custom field deleted",
     "description": "A custom field was taken from a license."}
  ]$$
);
