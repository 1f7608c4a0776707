-- Who signs in to use licenses: essential is only what licenses they are given.
select audit.track(
  'licensing.license_users',
  item_type => 'license_user',
  account => 'account_id',
  secret => '{initial_password}',
  actions => '[]'
);
