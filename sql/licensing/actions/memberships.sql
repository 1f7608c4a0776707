-- What happens to a person within one account.
select audit.track(
  'licensing.memberships',
  item_type => 'platform_user',
  item_id => 'platform_user_id',
  item_label => 'person.email',
  account => 'account_id',
  lookups => '{"person": "platform_user_id"}',
  operational => '{created_at, updated_at}',
  actions => $$[
    {"action": "platform_user_added", "on": "insert",
     "label": "User added",
     "description": "A person was given access to the account."},
    {"action": "platform_user_updated", "on": "update",
     "label": "User updated",
     "description": "A person's details, password or permissions in the account changed."},
    {"action": "platform_user_removed", "on": "delete",
     "label": "User removed",
     "description": "A person's access to the account was taken away."}
  ]$$
);
