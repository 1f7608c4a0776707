"""What reading the log gives: frozen records of events, changes, states and counts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log: what was done, by whom, to what."""

    id: int
    tx: int
    """The top-level transaction, the same for all that it wrote."""
    occurred_at: datetime
    """When, in UTC. A year that Python cannot show is its first or last moment instead."""
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

        >>> auditdb.events(conn, action="invoice_updated", limit=1).events[0].changes
        {'status': {'new': 'paid', 'old': 'open'}}
        """
        return parse(self.changes_json) or {}

    @property
    def context(self) -> dict[str, Any]:
        """Request id, address, reason and the like; empty where none was given."""
        return parse(self.context_json) or {}


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first, and how to go on."""

    events: tuple[Event, ...]
    next_cursor: str | None
    """What to give as `cursor` for the next page; None on the last one."""


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
class FieldChange:
    """One change of one column of an item: when, by whom, from what to what."""

    event_id: int
    tx: int
    occurred_at: datetime
    """When, in UTC, as in Event."""
    account_id: str
    action: str
    actor_type: str
    actor_id: str
    actor_label: str | None
    old: Any
    """The value before, from JSON; None where it was null, and where the item began."""
    new: Any
    """The value after, from JSON; None where it is null, and where the item ended."""
    is_redacted: bool
    """Whether the values are secret and so not in the log."""


class NoValue(Enum):
    """Why there is no value to give; all of them count as false."""

    ABSENT = "the item, or the part of it, did not exist"
    UNKNOWN = "the log does not know the value"
    REDACTED = "the value is secret and not in the log"

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class ItemState:
    """An item as it was at some time, as far as the log knows."""

    exists: bool | None
    """Whether the item existed; None where no row of the log is about it."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The value of each column, from JSON: None for null, numbers as int or Decimal.

    The columns of the item's parts have paths, as in Event.changes.
    """
    redacted: frozenset[str] = frozenset()
    """The columns that are secret."""
    unknown: frozenset[str] = frozenset()
    """The columns whose value the log does not know: it began after the item, and they have not
    changed since."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many events there are of what its other fields name; those not counted by are None."""

    count: int
    account_id: str | None = None
    action: str | None = None
    action_label: str | None = None
    item_type: str | None = None
    actor_type: str | None = None
    actor_id: str | None = None
    day: date | None = None


def parse(text: str | None) -> Any:
    """Return the Python value of JSON `text`, with int or Decimal for numbers; None for None."""
    return None if text is None else json.loads(text, parse_float=Decimal, parse_int=_integer)


def _integer(digits: str) -> int | Decimal:
    # Python refuses to read an int of more digits than this.
    return int(digits) if len(digits) < 4000 else Decimal(digits)
