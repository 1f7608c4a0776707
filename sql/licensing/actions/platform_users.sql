-- A person's own data: shown in every account that the person works for.
select audit.track(
  'licensing.platform_users',
  item_type => 'platform_user',
  item_label => 'email',
  accounts => 'select m.account_id from licensing.memberships as m
    where m.platform_user_id = new.id',
  operational => '{last_login_at, created_at, updated_at}',
  secret => '{password_hash}',
  actions => $$[
    {"action": "platform_user_updated", "on": "update",
     "label": "User updated",
     "description": "A person's details, password or permissions in the account changed."}
  ]$$
);
