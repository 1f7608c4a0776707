-- A license's features are saved as one form: one action for all of them.
select audit.track(
  'licensing.license_features',
  item_type => 'license',
  item_id => 'license_id',
  item_label => 'right(license.license_key, 4)',
  account => 'license.account_id',
  lookups => '{"license": "license_id", "feature": "product_feature_id"}',
  part => 'features',
  part_name => 'feature.code',
  operational => '{total_consumption, created_at, updated_at}',
  actions => $$[
    {"action": "license_features_updated",
     "on": ["insert", "update", "delete"], "grouped": true,
     "label": "License features updated",
     "description": "Features of a license were added, changed or taken out."}
  ]$$
);
