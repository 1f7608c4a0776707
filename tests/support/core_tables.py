"""What the log is expected to say of each core table: its item, its actions, who refers to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Row = Mapping[str, Any]
Key = tuple[Any, ...]
Rows = Mapping[Key, Row]
Tables = Mapping[str, Rows]


@dataclass(frozen=True, slots=True)
class View:
    """The tables around a statement: what is gone is looked up as it was before."""

    before: Tables
    after: Tables

    def row(self, table: str, key: object) -> Row:
        """Return the row of a table with this id."""
        return self.after[table].get((key,)) or self.before[table][(key,)]


Read = Callable[[View, Row], Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """Columns that an UPDATE records under an action of their own, if old and new are so."""

    action: str
    columns: tuple[str, ...]
    when: Callable[[Row, Row], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the log says of the rows of one table; `columns` are the audited ones."""

    columns: tuple[str, ...]
    key: tuple[str, ...] = ("id",)
    item: str = ""
    item_id: str = "id"
    label: Read = lambda _view, _row: None
    accounts: Read = lambda _view, row: [row["account_id"]]
    parent: tuple[str, str] | None = None
    part: str | None = None
    part_name: Read = lambda _view, _row: None
    name_column: str | None = None
    is_grouped: bool = False
    secret: str | None = None
    actions: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    unaudited: tuple[str, ...] = ()  # operational columns that the picture has to know

    def key_of(self, row: Row) -> Key:
        """Return the primary key of a row."""
        return tuple(row[column] for column in self.key)


def table(columns: str, **traits: Any) -> Table:
    """Return a table whose columns are given in one string."""
    return Table(columns=tuple(columns.split()), **traits)


def actions(item: str, *, deleted: str = "deleted", created: str = "created") -> dict[str, str]:
    """Return the usual three actions of an item."""
    return {
        "insert": f"{item}_{created}",
        "update": f"{item}_updated",
        "delete": f"{item}_{deleted}",
    }


def always(action: str) -> dict[str, str]:
    """Return one action for whatever happens to a row."""
    return dict.fromkeys(("insert", "update", "delete"), action)


def of(parent: str, column: str, wanted: str) -> Read:
    """Return the reader of a column of the row that a foreign key leads to."""
    return lambda view, row: view.row(parent, row[column])[wanted]


def accounts_of(parent: str, column: str) -> Read:
    """Return the reader of the account of the row that a foreign key leads to."""
    return lambda view, row: [view.row(parent, row[column])["account_id"]]


def order_label(view: View, order: Row) -> str | None:
    """Return what an order is called: its reference, else what the store calls it."""
    label: str | None = order["store_id" if order["reference"] is None else "reference"]
    return label


def license_label(view: View, row: Row) -> str | None:
    """Return the last four characters of a license's key."""
    key: str | None = row["license_key"]
    return None if key is None else key[-4:]


def employers(view: View, person: Row) -> list[object]:
    """Return the accounts that a person works for."""
    rows = view.after["memberships"].values()
    return [row["account_id"] for row in rows if row["platform_user_id"] == person["id"]] or [""]


def set_anew(column: str) -> Callable[[Row, Row], bool]:
    """Return the test whether a time changed to a new one."""
    return lambda old, new: new[column] is not None and old[column] != new[column]


def turned(column: str, *, on: bool) -> Callable[[Row, Row], bool]:
    """Return the test whether a flag changed to this."""
    return lambda old, new: old[column] is not on and new[column] is on


OF_LICENSE: dict[str, Any] = {
    "item": "license",
    "item_id": "license_id",
    "label": lambda view, row: license_label(view, view.row("licenses", row["license_id"])),
    "accounts": accounts_of("licenses", "license_id"),
}
OF_PRODUCT: dict[str, Any] = {
    "item": "product",
    "item_id": "product_id",
    "label": of("products", "product_id", "name"),
    "accounts": accounts_of("products", "product_id"),
    "actions": always("product_updated"),
    "is_grouped": True,
}

TABLES: Mapping[str, Table] = {
    "accounts": table("id name"),
    "license_users": table("id account_id email"),
    "platform_users": table(
        "id email first_name last_name phone password_hash",
        item="platform_user",
        label=lambda _, row: row["email"],
        accounts=employers,
        secret="password_hash",
        actions={"update": "platform_user_updated"},
    ),
    "memberships": table(
        "account_id platform_user_id is_admin permissions",
        key=("account_id", "platform_user_id"),
        item="platform_user",
        item_id="platform_user_id",
        label=of("platform_users", "platform_user_id", "email"),
        actions=actions("platform_user", created="added", deleted="removed"),
    ),
    "user_permission_templates": table(
        "id account_id name description",
        item="user_permission_template",
        label=lambda _, row: row["name"],
        actions=actions("user_permission_template"),
    ),
    "user_permission_template_permissions": table(
        "template_id resource level",
        key=("template_id", "resource"),
        item="user_permission_template",
        item_id="template_id",
        label=of("user_permission_templates", "template_id", "name"),
        accounts=accounts_of("user_permission_templates", "template_id"),
        part="permissions",
        part_name=lambda _, row: row["resource"],
        name_column="resource",
        is_grouped=True,
        actions=always("user_permission_template_permissions_set"),
    ),
    "notification_policies": table(
        "id account_id event_type is_enabled recipients lead_time subject body",
        item="notification_policy",
        label=lambda _, row: row["event_type"],
        actions=actions("notification_policy"),
    ),
    "products": table(
        "id account_id name code authorization_method is_active archived_at trial_days"
        " floating_timeout allows_vm metadata",
        item="product",
        label=lambda _, row: row["name"],
        actions=actions("product"),
        claims=(
            Claim("product_activated", ("is_active",), turned("is_active", on=True)),
            Claim("product_deactivated", ("is_active",), turned("is_active", on=False)),
            Claim(
                "product_archived",
                ("archived_at",),
                lambda old, new: old["archived_at"] is None and new["archived_at"] is not None,
            ),
            Claim(
                "product_unarchived",
                ("archived_at",),
                lambda old, new: old["archived_at"] is not None and new["archived_at"] is None,
            ),
        ),
    ),
    "product_features": table(
        "id product_id code name feature_type max_consumption",
        part="features",
        part_name=lambda _, row: row["code"],
        name_column="code",
        **OF_PRODUCT,
    ),
    "product_custom_fields": table(
        "id product_id name data_type default_value",
        part="custom_fields",
        part_name=lambda _, row: row["name"],
        name_column="name",
        **OF_PRODUCT,
    ),
    "customers": table(
        "id account_id email first_name last_name company_name phone address postcode city state"
        " country reference metadata",
        item="customer",
        label=lambda _, row: row["email"],
        actions=actions("customer"),
    ),
    "orders": table(
        "id account_id customer_id store_id reference campaign is_test is_trial",
        item="order",
        label=order_label,
        actions=actions("order"),
    ),
    "order_managers": table(
        "order_id license_user_id",
        key=("order_id", "license_user_id"),
        item="order",
        item_id="order_id",
        label=lambda view, row: order_label(view, view.row("orders", row["order_id"])),
        accounts=accounts_of("orders", "order_id"),
        part="managers",
        part_name=of("license_users", "license_user_id", "email"),
        actions={"insert": "order_manager_added", "delete": "order_manager_removed"},
    ),
    "licenses": table(
        "id account_id product_id order_id customer_id license_key license_type is_enabled"
        " is_trial is_floating floating_users valid_from valid_until maintenance_until"
        " max_activations transfer_limit max_consumption max_overages allows_overages"
        " allows_unlimited_consumption consumption_period allows_vm max_borrow_time note metadata"
        " reset_at consumption_reset_at",
        item="license",
        label=license_label,
        secret="license_key",
        actions=actions("license"),
        claims=(
            # A reset takes the consumption's reset with it.
            Claim("license_reset", ("reset_at", "consumption_reset_at"), set_anew("reset_at")),
            Claim("license_disabled", ("is_enabled",), turned("is_enabled", on=False)),
            Claim("license_enabled", ("is_enabled",), turned("is_enabled", on=True)),
            Claim(
                "license_consumption_reset",
                ("consumption_reset_at",),
                set_anew("consumption_reset_at"),
            ),
        ),
    ),
    "license_features": table(
        "license_id product_feature_id max_consumption allows_overages expires_at",
        key=("license_id", "product_feature_id"),
        part="features",
        part_name=of("product_features", "product_feature_id", "code"),
        is_grouped=True,
        actions=always("license_features_updated"),
        **OF_LICENSE,
    ),
    "license_custom_fields": table(
        "id license_id product_custom_field_id value",
        part="custom_fields",
        part_name=of("product_custom_fields", "product_custom_field_id", "name"),
        actions=actions("license_custom_field"),
        **OF_LICENSE,
    ),
    "license_user_assignments": table(
        "license_id license_user_id max_activations",
        key=("license_id", "license_user_id"),
        part="users",
        part_name=of("license_users", "license_user_id", "email"),
        actions={
            "insert": "license_user_assigned",
            "update": "license_updated",
            "delete": "license_user_unassigned",
        },
        **OF_LICENSE,
    ),
    "devices": table(
        "id license_id license_user_id hardware_id is_blacklisted borrowed_until reset_at",
        item="device",
        label=lambda _, row: row["hardware_id"] if row["hostname"] is None else row["hostname"],
        accounts=accounts_of("licenses", "license_id"),
        parent=("license", "license_id"),
        unaudited=("hostname",),
        claims=(
            Claim("device_blacklisted", ("is_blacklisted",), turned("is_blacklisted", on=True)),
            Claim("device_unblacklisted", ("is_blacklisted",), turned("is_blacklisted", on=False)),
            Claim("device_borrowed", ("borrowed_until",), set_anew("borrowed_until")),
            # A reset takes the end of the borrowing with it.
            Claim("device_reset", ("reset_at", "borrowed_until"), set_anew("reset_at")),
            Claim("device_borrow_released", ("borrowed_until",), lambda _old, _new: True),
        ),
    ),
}

OnDelete = Literal["cascade", "set null", "refuse"]

# Who refers to whom, and what becomes of a row when the row it refers to is deleted.
REFERENCES: tuple[tuple[str, str, str, OnDelete], ...] = (
    ("memberships", "account_id", "accounts", "refuse"),
    ("memberships", "platform_user_id", "platform_users", "refuse"),
    ("user_permission_templates", "account_id", "accounts", "refuse"),
    ("user_permission_template_permissions", "template_id", "user_permission_templates", "cascade"),
    ("notification_policies", "account_id", "accounts", "refuse"),
    ("products", "account_id", "accounts", "refuse"),
    ("product_features", "product_id", "products", "cascade"),
    ("product_custom_fields", "product_id", "products", "cascade"),
    ("customers", "account_id", "accounts", "refuse"),
    ("orders", "account_id", "accounts", "refuse"),
    ("orders", "customer_id", "customers", "refuse"),
    ("license_users", "account_id", "accounts", "refuse"),
    ("order_managers", "order_id", "orders", "cascade"),
    ("order_managers", "license_user_id", "license_users", "refuse"),
    ("licenses", "account_id", "accounts", "refuse"),
    ("licenses", "product_id", "products", "refuse"),
    ("licenses", "order_id", "orders", "cascade"),
    ("licenses", "customer_id", "customers", "set null"),
    ("license_features", "license_id", "licenses", "cascade"),
    ("license_features", "product_feature_id", "product_features", "refuse"),
    ("license_custom_fields", "license_id", "licenses", "cascade"),
    ("license_custom_fields", "product_custom_field_id", "product_custom_fields", "refuse"),
    ("license_user_assignments", "license_id", "licenses", "cascade"),
    ("license_user_assignments", "license_user_id", "license_users", "refuse"),
    ("devices", "license_id", "licenses", "cascade"),
    ("devices", "license_user_id", "license_users", "set null"),
)
