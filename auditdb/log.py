"""Reads the log: pages of events, newest first, and what each of them changed."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from auditdb.errors import InvalidCursor, SchemaBehind, SchemaMissing, translated

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log: what was done, by whom, to what."""

    id: int
    tx: int
    occurred_at: datetime
    account_id: str
    action: str
    action_label: str | None
    item_type: str
    item_id: str
    item_label: str | None
    parent_type: str | None
    parent_id: str | None
    actor_type: str
    actor_id: str
    actor_label: str | None
    db_role: str
    application: str
    is_cascade: bool
    changes_json: str | None
    """The changes exactly as PostgreSQL writes them."""
    context_json: str | None
    """The context of the actor exactly as PostgreSQL writes it."""

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """What changed, as {column: {"old": value, "new": value}}; a secret: {"redacted": True}.

        Numbers are int or Decimal, so none loses a digit. Raises RecursionError for values nested
        more deeply than Python's json can read.
        """
        return _loads(self.changes_json) or {}

    @property
    def context(self) -> dict[str, Any]:
        """Request id, address, reason and the like; empty where none was given."""
        return _loads(self.context_json) or {}


@dataclass(frozen=True, slots=True)
class Change:
    """One column that an event changed."""

    column: str
    """The column, or a path such as features/F1/max_consumption."""
    old: str | None
    """The value before, as text; None where it was null or there was none."""
    new: str | None
    """The value after, as text; None where it is null or there is none."""
    is_redacted: bool
    """Whether the values are secret and so not in the log."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to read; by default all."""

    account: str | None = None
    """The account_id."""
    item: tuple[str, str] | None = None
    """Type and id of an item: the events about it and about its parts."""
    actions: tuple[str, ...] = ()
    """The codes of the actions, any of them."""
    actor: tuple[str, str | None] | None = None
    """Type and id of the actor; without an id all actors of the type."""
    since: datetime | None = None
    """The earliest time (with a time zone), itself included."""
    until: datetime | None = None
    """The latest time (with a time zone), itself not included."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first, and how to go on."""

    events: tuple[Event, ...]
    next_cursor: str | None
    """What to give as `before` for the next page; None on the last one."""


_COLUMNS = sql.SQL(
    "id, tx, occurred_at, account_id, action, action_label, item_type, item_id, item_label, "
    "parent_type, parent_id, actor_type, actor_id, actor_label, db_role, application, is_cascade, "
    "changes::text as changes_json, context::text as context_json"
)
_NEWEST_FIRST = sql.SQL("order by occurred_at desc, id desc limit %(limit)s")
_OF_ITEM = sql.SQL("item_type = %(item_type)s and item_id = %(item_id)s")
_OF_PARTS = sql.SQL(
    "parent_type = %(item_type)s and parent_id = %(item_id)s "
    "and not (item_type = %(item_type)s and item_id = %(item_id)s)"
)


def page(
    connection: psycopg.Connection[Any],
    wanted: Filter = Filter(),
    *,
    limit: int = 50,
    before: str | None = None,
) -> Page:
    """Read up to `limit` events (at least 1), newest first, that come after the cursor `before`.

    Raises InvalidCursor, SchemaMissing where the database has no log, SchemaBehind where its log
    is an older one, and other errors of the database as AuditError.
    """
    query, values = statement(wanted, limit=limit + 1, before=before)
    with _reading(), connection.cursor(row_factory=class_row(Event), binary=True) as cursor:
        rows = cursor.execute(query, values).fetchall()
    events = tuple(replace(e, occurred_at=e.occurred_at.astimezone(UTC)) for e in rows[:limit])
    return Page(events, cursor_of(events[-1]) if len(rows) > limit else None)


def pages(
    connection: psycopg.Connection[Any],
    wanted: Filter = Filter(),
    *,
    limit: int = 50,
    before: str | None = None,
) -> Iterator[Page]:
    """Read page after page, as page() does, until there is no more."""
    while True:
        found = page(connection, wanted, limit=limit, before=before)
        yield found
        before = found.next_cursor
        if before is None:
            return


def changes(connection: psycopg.Connection[Any], event: Event) -> tuple[Change, ...]:
    """Read what `event` changed, column by column in the order of their names.

    Raises as page() does.
    """
    query = (
        "select column_name as column, old_value as old, new_value as new, is_redacted "
        "from audit.changes where occurred_at = %s and account_id = %s and id = %s "
        "order by column_name"
    )
    with _reading(), connection.cursor(row_factory=class_row(Change)) as cursor:
        return tuple(cursor.execute(query, (event.occurred_at, event.account_id, event.id)))


def statement(
    wanted: Filter, *, limit: int, before: str | None = None
) -> tuple[sql.Composed, dict[str, Any]]:
    """Return the query for up to `limit` events and its parameters; raises InvalidCursor."""
    conditions, values = _conditions(wanted)
    values["limit"] = limit
    if before is not None:
        values["at"], values["id"] = _read_cursor(before)
        # The first line says nothing that the second does not, but partitions are pruned by it.
        conditions += [
            sql.SQL("occurred_at <= %(at)s"),
            sql.SQL("(occurred_at, id) < (%(at)s, %(id)s)"),
        ]
    if wanted.item is None:
        return _select(conditions), values
    values["item_type"], values["item_id"] = wanted.item
    # Two arms, since each has an index of its own that an OR would not use in order.
    arms = [_select([*conditions, of]) for of in (_OF_ITEM, _OF_PARTS)]
    both = sql.SQL("({}) union all ({}) {}").format(*arms, _NEWEST_FIRST)
    return both, values


def _conditions(wanted: Filter) -> tuple[list[sql.SQL], dict[str, Any]]:
    conditions: list[sql.SQL] = []
    values: dict[str, Any] = {}
    if wanted.account is not None:
        conditions.append(sql.SQL("account_id = %(account)s"))
        values["account"] = wanted.account
    if wanted.actions:
        conditions.append(sql.SQL("action = any(%(actions)s)"))
        values["actions"] = list(wanted.actions)
    if wanted.actor is not None:
        conditions.append(sql.SQL("actor_type = %(actor_type)s"))
        values["actor_type"], actor_id = wanted.actor
        if actor_id is not None:
            conditions.append(sql.SQL("actor_id = %(actor_id)s"))
            values["actor_id"] = actor_id
    if wanted.since is not None:
        conditions.append(sql.SQL("occurred_at >= %(since)s"))
        values["since"] = wanted.since
    if wanted.until is not None:
        conditions.append(sql.SQL("occurred_at < %(until)s"))
        values["until"] = wanted.until
    return conditions, values


def _select(conditions: list[sql.SQL]) -> sql.Composed:
    where = sql.SQL(" and ").join(conditions) if conditions else sql.SQL("true")
    return sql.SQL("select {} from audit.events where {} {}").format(_COLUMNS, where, _NEWEST_FIRST)


def cursor_of(event: Event) -> str:
    """Return the cursor that pages on after `event`: opaque, safe in URLs and file names."""
    position = f"{event.occurred_at.astimezone(UTC).isoformat()} {event.id}"
    return urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, int]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        at, number = urlsafe_b64decode(padded).decode("ascii").split(" ")
        position = datetime.fromisoformat(at), int(number)
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor from error
    if position[0].tzinfo is None:
        raise InvalidCursor
    return position


def _loads(text: str | None) -> Any:
    return None if text is None else json.loads(text, parse_float=Decimal, parse_int=_integer)


def _integer(digits: str) -> int | Decimal:
    # Python refuses to read an int of more digits than this.
    return int(digits) if len(digits) < 4000 else Decimal(digits)


@contextmanager
def _reading() -> Iterator[None]:
    with translated():
        try:
            yield
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise SchemaMissing(hint="Run `auditdb upgrade`.") from error
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction) as error:
            raise SchemaBehind(hint="Run `auditdb upgrade`.") from error
