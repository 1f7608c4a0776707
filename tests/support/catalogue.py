"""The actions that schema licensing must record: those of the platform, and one of its own."""

PLATFORM = """
platform_user_added platform_user_updated platform_user_removed
user_permission_template_created user_permission_template_updated
user_permission_template_permissions_set user_permission_template_deleted
notification_policy_created notification_policy_updated notification_policy_deleted
product_created product_updated product_activated product_deactivated product_archived
product_unarchived product_deleted
customer_created customer_updated customer_deleted
order_created order_updated order_manager_added order_manager_removed order_deleted
license_created license_updated license_reset license_disabled license_enabled
license_consumption_reset license_user_assigned license_user_unassigned license_features_updated
license_deleted license_custom_field_created license_custom_field_updated
license_custom_field_deleted
device_reset device_blacklisted device_borrowed device_borrow_released
""".split()  # noqa: SIM905 (a list would be a line for each)
"""What the platform calls an action."""

ACTIONS = [*PLATFORM, "device_unblacklisted"]
"""With it, what device_blacklisted does can be seen undone."""
