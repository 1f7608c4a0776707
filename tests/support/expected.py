"""How tests write down what the log must hold: rows as short as the table of the actions."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, LiteralString

import psycopg

from tests.support.helpers import LogRow, Platform, platform, recorded

REDACTED = object()
ACTOR = "platform_user:7"
CUSTOMER_DETAILS = (
    *("first_name", "last_name", "company_name", "phone", "address"),
    *("postcode", "city", "state", "country", "reference"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What must be right in a row of the log, with the item, parent and actor in short."""

    action: str
    item: str
    label: str | None
    account: str
    changes: dict[str, Any] | None
    parent: str | None = None
    is_cascade: bool = False
    actor: str = ACTOR


@dataclass(frozen=True, slots=True)
class Item:
    """An item that rows are expected to be about: `license:42`, its label and its account."""

    item: str
    label: str | None
    account: object
    parent: str | None = None

    def row(
        self,
        action: str,
        changes: dict[str, Any] | None,
        *,
        is_cascade: bool = False,
        actor: str = ACTOR,
    ) -> Row:
        """Return the row that an action on the item must leave."""
        return Row(
            action=action,
            item=self.item,
            label=self.label,
            account=str(self.account),
            changes=changes,
            parent=self.parent,
            is_cascade=is_cascade,
            actor=actor,
        )


def signed_in(conn: psycopg.Connection) -> Platform:
    """Insert the small vendor, and set the actor that expected rows have unless they say other."""
    vendor = platform(conn)
    conn.execute("select audit.set_actor('platform_user', '7', 'Ana')")
    return vendor


def logged(conn: psycopg.Connection, query: LiteralString, *parameters: object) -> list[Row]:
    """Run one statement and return what it left in the log, sorted as `rows` sorts."""
    with recorded(conn) as found:
        conn.execute(query, parameters or None)
    return seen(found)


def seen(found: Iterable[LogRow]) -> list[Row]:
    """Return rows read from the log, sorted as `rows` sorts: order is no part of what is right."""
    return rows(
        *(
            Row(
                action=row.action,
                item=row.item,
                label=row.item_label,
                account=row.account_id,
                changes=row.changes,
                parent=row.parent,
                is_cascade=row.is_cascade,
                actor=row.actor,
            )
            for row in found
        )
    )


def rows(*unsorted: Row) -> list[Row]:
    """Return the rows sorted, so that equal lists are equal multisets."""
    return sorted(unsorted, key=lambda row: json.dumps(asdict(row), sort_keys=True))


def created(path: str = "", /, **columns: object) -> dict[str, Any]:
    """Return the changes of a row that came; each column below the path of its part."""
    return {path + name: _entry(new=value) for name, value in columns.items()}


def deleted(path: str = "", /, **columns: object) -> dict[str, Any]:
    """Return the changes of a row that went."""
    return {path + name: _entry(old=value) for name, value in columns.items()}


def changed(path: str = "", /, **columns: object) -> dict[str, Any]:
    """Return the changes of a row that stayed: each column is (old, new), or REDACTED."""
    entries = {}
    for name, pair in columns.items():
        old, new = pair if isinstance(pair, tuple) else (pair, pair)
        entries[path + name] = _entry(old=old, new=new)
    return entries


def _entry(**values: object) -> dict[str, object]:
    return {"redacted": True} if REDACTED in values.values() else values
