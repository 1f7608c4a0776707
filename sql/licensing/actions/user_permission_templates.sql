-- Templates of permissions: what they are called.
select audit.track(
  'licensing.user_permission_templates',
  item_type => 'user_permission_template',
  item_label => 'name',
  account => 'account_id',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "user_permission_template_created", "on": "insert",
     "label": "Permission template created",
     "description": "A template of permissions was created."},
    {"action": "user_permission_template_updated", "on": "update",
     "label": "Permission template updated",
     "description": "The name or description of a template of permissions changed."},
    {"action": "user_permission_template_deleted", "on": "delete",
     "label": "Permission template deleted",
     "description": "A template of permissions was deleted."}
  ]$$
);
