-- What is done to a device by hand; what it reports by itself, and its coming and going, is not.
select audit.track(
  'licensing.devices',
  item_type => 'device',
  item_label => 'coalesce(hostname, hardware_id)',
  account => 'license.account_id',
  parent_type => 'license',
  parent_id => 'license_id',
  lookups => '{"license": "license_id"}',
  operational => '{hostname, os, mac, ip, is_vm, is_active, app_version, sdk_version, last_seen_at,
    created_at, updated_at}',
  actions => $$[
    {"action": "device_blacklisted", "on": "update", "columns": ["is_blacklisted"],
     "when": "not old.is_blacklisted and new.is_blacklisted",
     "label": "Device blacklisted",
     "description": "A device was shut out of its license."},
    {"action": "device_unblacklisted", "on": "update", "columns": ["is_blacklisted"],
     "when": "old.is_blacklisted and not new.is_blacklisted",
     "label": "Device unblacklisted",
     "description": "A device is no longer shut out of its license."},
    {"action": "device_borrowed", "on": "update", "columns": ["borrowed_until"],
     "when": "new.borrowed_until is not null",
     "label": "Device borrowed",
     "description": "A device borrowed its license, or was given another time to return it."},
    {"action": "device_reset", "on": "update", "columns": ["reset_at", "borrowed_until"],
     "when": "new.reset_at is not null and old.reset_at is distinct from new.reset_at",
     "label": "Device reset",
     "description": "A device was reset: it has to be activated anew."},
    {"action": "device_borrow_released", "on": "update", "columns": ["borrowed_until"],
     "when": "new.borrowed_until is null",
     "label": "Device borrow released",
     "description": "A device gave a borrowed license back before it was due."}
  ]$$
);
