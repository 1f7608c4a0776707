"""What the columns of the core tables may hold, and what tells two of their rows apart."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.support.core_tables import REFERENCES, TABLES, Row

TEXTS = (
    "",
    "a",
    "a/b",
    "x~y",
    'say "no"',
    "it's",
    "\\N",
    "NULL",
    "{}",
    "50 %",
    "é\u2028\U0001f510",
)
NAMES = ("F1", "a/b", "x~y", "é.", "#1", "old")
EARLY = ("2024-02-29T00:00:00+00:00", "2025-03-30T01:30:00.5+00:00", "-infinity")
LATE = ("2026-11-22T10:00:00+00:00", "2027-01-01T00:00:00.000001+00:00", "infinity")
JSON: tuple[dict[str, Any], ...] = (
    {},
    {"a": 1},
    {"a": True},
    {"a": None, "b": ["x", {}]},
    {"é/~": 'q"'},
    {"n": 12345678901234},
)

_texts = st.sampled_from(TEXTS)
_flags = st.booleans()
_numbers = st.sampled_from((0, 1, 7, 2_000_000_000))
_big_numbers = st.sampled_from((0, 5, 9_000_000_000_000_000_000))
_early = st.none() | st.sampled_from(EARLY)
_late = st.none() | st.sampled_from(LATE)
_resources = st.sampled_from(("licenses", "a/b", "x~y", "*"))
_levels = st.sampled_from(("none", "read", "manage"))

# What a column may hold, by its name, which means the same in every table.
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        [
            "first_name",
            "last_name",
            "phone",
            "password_hash",
            "description",
            "subject",
            "body",
            "default_value",
            "company_name",
            "address",
            "postcode",
            "city",
            "state",
            "country",
            "reference",
            "store_id",
            "campaign",
            "license_key",
            "consumption_period",
            "note",
            "value",
            "hostname",
        ],
        st.none() | _texts,
    ),
    **dict.fromkeys(["event_type", "name", "data_type"], _texts),
    **dict.fromkeys(
        [
            "is_admin",
            "is_enabled",
            "is_active",
            "allows_vm",
            "is_test",
            "is_trial",
            "is_floating",
            "allows_overages",
            "allows_unlimited_consumption",
            "is_blacklisted",
        ],
        _flags,
    ),
    **dict.fromkeys(
        ["trial_days", "floating_timeout", "max_activations", "transfer_limit", "max_borrow_time"],
        st.none() | _numbers,
    ),
    "floating_users": _numbers,
    "max_consumption": st.none() | _big_numbers,
    "max_overages": st.none() | _big_numbers,
    "valid_from": _early,
    **dict.fromkeys(
        [
            "archived_at",
            "valid_until",
            "maintenance_until",
            "reset_at",
            "consumption_reset_at",
            "expires_at",
            "borrowed_until",
        ],
        _late,
    ),
    "email": st.sampled_from(("ana@x.example", "a/b~c@x.example", "é@x.example")),
    "permissions": st.dictionaries(_resources, _levels, max_size=2),
    "resource": _resources,
    "level": _levels,
    "recipients": st.lists(_texts, max_size=2),
    "lead_time": st.none() | st.sampled_from(("3 days", "1 mon -00:00:01.5", "00:00:00")),
    "authorization_method": st.sampled_from(("license_key", "user")),
    "feature_type": st.sampled_from(("activation", "consumption")),
    "license_type": st.sampled_from(("perpetual", "subscription", "time_limited", "consumption")),
    "metadata": st.sampled_from(JSON),
    "code": st.sampled_from(NAMES),
}

# What a row holds where an insert does not say; all other columns are null then.
DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(
        [
            "is_admin",
            "is_test",
            "is_trial",
            "is_floating",
            "allows_overages",
            "allows_unlimited_consumption",
            "is_blacklisted",
        ],
        False,
    ),
    **dict.fromkeys(["is_enabled", "is_active", "allows_vm"], True),
    "permissions": {},
    "metadata": {},
    "recipients": [],
    "level": "none",
    "data_type": "text",
    "feature_type": "activation",
    "authorization_method": "license_key",
    "license_type": "perpetual",
    "floating_users": 0,
}
ONE_ACTIVATION = ("licenses", "license_user_assignments")

# Columns that only running systems write, with SQL that changes them.
OPERATIONAL: Mapping[str, str] = {
    "platform_users": "last_login_at = clock_timestamp()",
    "notification_policies": "last_sent_at = clock_timestamp()",
    "licenses": "times_activated = times_activated + 1, total_consumption = total_consumption + 3,"
    " floating_in_use = 1, last_checked_at = clock_timestamp()",
    "license_features": "total_consumption = total_consumption + 1",
    "license_user_assignments": "total_activations = total_activations + 1",
    "devices": "last_seen_at = clock_timestamp(), is_active = not is_active, ip = '::1', os = 'x'",
}

# Columns in which two rows may not agree: what the rows are told apart by, within what.
UNIQUE: Mapping[str, tuple[str, str | None]] = {
    "platform_users": ("email", None),
    "products": ("code", None),
    "product_features": ("code", "product_id"),
    "product_custom_fields": ("name", "product_id"),
    "user_permission_template_permissions": ("resource", "template_id"),
}

# Parts that stand between two rows of which there can be one: the foreign keys to both.
PAIRS: Mapping[str, tuple[str, str]] = {
    "memberships": ("account_id", "platform_user_id"),
    "order_managers": ("order_id", "license_user_id"),
    "license_features": ("license_id", "product_feature_id"),
    "license_custom_fields": ("license_id", "product_custom_field_id"),
    "license_user_assignments": ("license_id", "license_user_id"),
}

PARENTS = {(child, column): parent for child, column, parent, _ in REFERENCES}


def is_optional(table: str, column: str) -> bool:
    """Return whether a foreign key may be null."""
    return (table, column) in (("licenses", "customer_id"), ("devices", "license_user_id"))


def is_leaf(table: str) -> bool:
    """Return whether no row refers to this table."""
    return all(parent != table for _, _, parent, _ in REFERENCES)


def mutable(table: str) -> list[str]:
    """Return the columns that updates set: not keys, owners, nor what only inserts can choose."""
    subject = TABLES[table]
    moved = ("customer_id", "license_user_id") if table in ("licenses", "orders", "devices") else ()
    fixed = ("account_id", "hardware_id", "product_id", "license_id", "order_id", *subject.key)
    return [
        column
        for column in (*subject.columns, *subject.unaudited)
        if column in moved or (column not in fixed and (table, column) not in PARENTS)
    ]


def complete(table: str, row: Row) -> dict[str, Any]:
    """Return a row with the defaults of the columns that it does not have."""
    columns = (*TABLES[table].columns, *TABLES[table].unaudited)
    full = {column: row.get(column, DEFAULTS.get(column)) for column in columns}
    if table in ONE_ACTIVATION and "max_activations" not in row:
        full["max_activations"] = 1
    return full


def small_platform(a: int) -> dict[str, list[dict[str, Any]]]:
    """Return rows of every table, with ids from `a` on: two of a kind are in different states."""
    b = a + 1
    mine = {"account_id": a}
    product = {**mine, "name": "P"}
    license_ = {**mine, "product_id": a, "order_id": a, "customer_id": b}
    fresh = {"is_enabled": True, "reset_at": None, "consumption_reset_at": None}
    used = {"is_enabled": False, "reset_at": LATE[0], "consumption_reset_at": LATE[0]}
    device = {"license_id": a, "license_user_id": b}
    idle = {"borrowed_until": None, "reset_at": None}
    busy = dict.fromkeys(idle, LATE[0])
    return {
        "accounts": [{"id": a, "name": "A"}, {"id": b, "name": "B"}],
        "platform_users": [{"id": i, "email": f"u{i}@x.example"} for i in (a, b)],
        "memberships": [{"account_id": i, "platform_user_id": a} for i in (a, b)],
        "user_permission_templates": [{"id": a, **mine, "name": "T"}],
        "user_permission_template_permissions": [{"template_id": a, "resource": "a/b"}],
        "notification_policies": [{"id": a, **mine, "event_type": "e", "recipients": ["x"]}],
        "products": [
            {**product, "id": a, "code": f"P{a}", "is_active": True, "archived_at": None},
            {**product, "id": b, "code": f"P{b}", "is_active": False, "archived_at": LATE[0]},
        ],
        "product_features": [
            {"id": a, "product_id": a, "code": "F1"},
            {"id": b, "product_id": a, "code": "a/b"},
        ],
        "product_custom_fields": [{"id": a, "product_id": a, "name": "x~y"}],
        "customers": [{"id": i, **mine, "email": f"c{i}@x.example"} for i in (a, b)],
        "orders": [{"id": i, **mine, "customer_id": a, "reference": "R"} for i in (a, b)],
        "license_users": [{"id": i, **mine, "email": f"l{i}@x.example"} for i in (a, b)],
        "order_managers": [{"order_id": a, "license_user_id": i} for i in (a, b)],
        "licenses": [
            {**license_, "id": a, "license_key": f"AAAA-{a:04}", **fresh},
            {**license_, "id": b, "license_key": f"AAAA-{b:04}", **used},
        ],
        "license_features": [{"license_id": a, "product_feature_id": i} for i in (a, b)],
        "license_custom_fields": [{"id": a, "license_id": a, "product_custom_field_id": a}],
        "license_user_assignments": [{"license_id": a, "license_user_id": i} for i in (a, b)],
        "devices": [
            {**device, "id": a, "hardware_id": "h", "is_blacklisted": False, **idle},
            {**device, "id": b, "hardware_id": "i", "is_blacklisted": True, **busy},
        ],
    }
