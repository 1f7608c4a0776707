-- Who may use a license: how much they may is the license's data.
select audit.track(
  'licensing.license_user_assignments',
  item_type => 'license',
  item_id => 'license_id',
  item_label => 'right(license.license_key, 4)',
  account => 'license.account_id',
  lookups => '{"license": "license_id", "license_user": "license_user_id"}',
  part => 'users',
  part_name => 'license_user.email',
  operational => '{total_activations, created_at, updated_at}',
  actions => $$[
    {"action": "license_user_assigned", "on": "insert",
     "label": "License user assigned",
     "description": "A license was assigned to a license user."},
    {"action": "license_updated", "on": "update",
     "label": "License updated",
     "description": "The data or limits of a license or of one of its users changed."},
    {"action": "license_user_unassigned", "on": "delete",
     "label": "License user unassigned",
     "description": "A license was taken from a license user."}
  ]$$
);
