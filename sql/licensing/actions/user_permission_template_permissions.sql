-- Templates of permissions: what they say, saved as one form.
select audit.track(
  'licensing.user_permission_template_permissions',
  item_type => 'user_permission_template',
  item_id => 'template_id',
  item_label => 'template.name',
  account => 'template.account_id',
  lookups => '{"template": "template_id"}',
  part => 'permissions',
  part_name => 'resource',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "user_permission_template_permissions_set",
     "on": ["insert", "update", "delete"], "grouped": true,
     "label": "Template permissions set",
     "description": "Permissions of a template were added, changed or taken out."}
  ]$$
);
