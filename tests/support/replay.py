"""Rebuilds the core tables from the log alone, to show that nothing is missing in `changes`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import scalar_row

from tests.support.helpers import LogRow

Rebuilt = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the log tells of a table: the item, and the first part of the path if it is a part.

    `known` says which columns of the key the log row itself gives, and from where.
    """

    table: str
    key: tuple[str, ...]
    item: str
    part: str | None = None
    known: Mapping[str, str] | None = None


# Tables whose rows come and go in the log; of the others it tells changes only.
SOURCES = (
    Source(
        "memberships",
        ("account_id", "platform_user_id"),
        "platform_user",
        known={"account_id": "account_id", "platform_user_id": "item_id"},
    ),
    Source("user_permission_templates", ("id",), "user_permission_template"),
    Source(
        "user_permission_template_permissions",
        ("template_id", "resource"),
        "user_permission_template",
        "permissions",
        {"template_id": "item_id", "resource": "name"},
    ),
    Source("notification_policies", ("id",), "notification_policy"),
    Source("products", ("id",), "product"),
    Source("product_features", ("id",), "product", "features", {}),
    Source("product_custom_fields", ("id",), "product", "custom_fields", {}),
    Source("customers", ("id",), "customer"),
    Source("orders", ("id",), "order"),
    Source(
        "order_managers",
        ("order_id", "license_user_id"),
        "order",
        "managers",
        {"order_id": "item_id"},
    ),
    Source("licenses", ("id",), "license"),
    Source(
        "license_features",
        ("license_id", "product_feature_id"),
        "license",
        "features",
        {"license_id": "item_id"},
    ),
    Source("license_custom_fields", ("id",), "license", "custom_fields", {}),
    Source(
        "license_user_assignments",
        ("license_id", "license_user_id"),
        "license",
        "users",
        {"license_id": "item_id"},
    ),
)
OF_A_PERSON = {"email", "first_name", "last_name", "phone", "password_hash"}


def replay(log: Iterable[LogRow]) -> Rebuilt:
    """Return the tables that the rows of the log, in order, make of empty ones.

    Raises:
        KeyError: if the log updates or deletes a row that it has not created.
        ValueError: if it creates a row twice.
    """
    tables: Rebuilt = {source.table: {} for source in SOURCES}
    for row in log:
        if row.action == "table_truncated":
            tables.get(row.item_id.removeprefix("licensing."), {}).clear()
            continue
        for (part, name), changes in _by_row(row.changes or {}).items():
            source = _source(row.item_type, part, changes)
            if source is not None:
                given = {"item_id": row.item_id, "account_id": row.account_id, "name": name}
                _redo(tables[source.table], source, given, changes)
    return tables


def stored(connection: Connection, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table as the log writes values; the session's time zone must be UTC."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(f"select to_jsonb(t) from licensing.{table} as t").fetchall()


def assert_replays(connection: Connection, log: Iterable[LogRow]) -> None:
    """Fail unless the log rebuilds every table as it is, but for what is not audited."""
    for table, rebuilt in replay(log).items():
        source = next(source for source in SOURCES if source.table == table)
        rows = {tuple(r[column] for column in source.key): r for r in stored(connection, table)}
        assert rebuilt.keys() == rows.keys(), f"rows of {table}"
        for key, columns in rebuilt.items():
            seen = {column: rows[key][column] for column in columns}
            assert columns == seen, f"{table} {key}"


def _by_row(changes: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the changes of the item (under two empty names) and of each of its parts."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for path, change in changes.items():
        *part, column = path.split("/")
        segment, name = part or ("", "")
        name = name.replace("~1", "/").replace("~0", "~")
        if "redacted" not in change:
            rows.setdefault((segment, name), {})[column] = change
    return rows


def _source(item: str, part: str, changes: Mapping[str, Any]) -> Source | None:
    """Return whose rows these changes are, None if the log does not tell when they were made."""
    if item == "platform_user" and not OF_A_PERSON.isdisjoint(changes):
        return None
    found = (s for s in SOURCES if s.item == item and (s.part or "") == part)
    return next(found, None)


def _redo(
    rows: dict[tuple[Any, ...], dict[str, Any]],
    source: Source,
    given: Mapping[str, str],
    changes: Mapping[str, Mapping[str, Any]],
) -> None:
    """Create, update or delete the one row that these changes are about."""
    known = {"id": "item_id"} if source.known is None else source.known

    def key(side: str) -> tuple[Any, ...]:
        return tuple(
            changes[column][side] if column in changes else _number(given[known[column]])
            for column in source.key
        )

    row: dict[str, Any] = {}
    if any("old" in change for change in changes.values()):
        row = rows.pop(key("old"))
    elif key("new") in rows:
        raise ValueError(f"{source.table} {key('new')} is created twice")
    if any("new" in change for change in changes.values()):
        row |= {column: change["new"] for column, change in changes.items()}
        rows[key("new")] = row


def _number(value: str) -> int | str:
    """Return an id as its column holds it."""
    return int(value) if value.isdecimal() else value
