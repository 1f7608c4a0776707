-- What a vendor is notified of; switching a policy on or off is a change like others.
select audit.track(
  'licensing.notification_policies',
  item_type => 'notification_policy',
  item_label => 'event_type',
  account => 'account_id',
  operational => '{last_sent_at, created_at, updated_at}',
  actions => $$[
    {"action": "notification_policy_created", "on": "insert",
     "label": "Notification policy created",
     "description": "A notification policy was created."},
    {"action": "notification_policy_updated", "on": "update",
     "label": "Notification policy updated",
     "description": "A notification policy was changed, switched on or switched off."},
    {"action": "notification_policy_deleted", "on": "delete",
     "label": "Notification policy deleted",
     "description": "A notification policy was deleted."}
  ]$$
);
