"""What reading the log gives: frozen records of events, changes, states and counts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import MAXYEAR, MINYEAR, UTC
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, overload

from auditdb._query import page_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime

# What JSON allows in a string but a terminal may obey, or a reader of lines may split at.
_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log: what was done, by whom, to what."""

    id: int
    tx: int
    """The top-level transaction, the same for all that it wrote."""
    occurred_at: datetime
    """When, in UTC. A year that Python cannot show is its first or last moment instead:
    occurred_at_iso has every year."""
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
    on_behalf_of_type: str | None
    on_behalf_of_id: str | None
    on_behalf_of_label: str | None
    db_role: str
    application: str
    is_cascade: bool
    era: int
    """In which era of the log it was written, by audit.era; below zero where it was imported."""
    table_name: str | None
    """The table, with its schema, as it was called then; None where it is about no row of one."""
    layout: int | None
    """Which layout its row of the table had, by audit.layout; None where table_name is."""
    changes_json: str | None
    """The changes exactly as PostgreSQL writes them."""
    context_json: str | None
    """The context of the actor exactly as PostgreSQL writes it."""
    moved_json: str | None
    """What the item is known by on the other side of a move, exactly as PostgreSQL writes it."""
    key: str
    """The identity of the row as one text, for permalinks: auditdb.event() finds it again."""

    @property
    def occurred_at_iso(self) -> str:
        """When, in UTC, as ISO 8601 with microseconds, and with every year that PostgreSQL has.

        Years from 10000 on have more digits, those before the year 1 end in " BC".
        """
        return _iso(self.occurred_at, self.key)

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

    @property
    def moved(self) -> dict[str, dict[str, str | None]]:
        """From where the item came, or where it went, if the action made it another one.

        An action that changes an item's id, account or parent is an event of the item as it is
        then, {"from": {"item_id": "41"}}, and one of the item as it was, {"to": {"item_id": "42"}}:
        the names are those of columns, and only what changed is there. Otherwise it is empty.
        """
        return parse(self.moved_json) or {}

    @property
    def is_baseline(self) -> bool:
        """Whether it tells what was there when audit.baseline() ran: nobody did anything then."""
        return self.action == f"{self.item_type}_baseline"

    def as_dict(self) -> dict[str, Any]:
        """Return the event in its one JSON form, that of `auditdb log --json` and of as_json().

        The keys are the columns of audit.events. Ids of rows and transactions are strings, since
        they may exceed 2^53; `occurred_at` is ISO 8601 in UTC; `changes`, `context` and `moved` are
        as in the properties, with int or Decimal for numbers, and None where there are none. Raises
        RecursionError as `changes` does.

        >>> event = auditdb.events(conn, action="invoice_updated")[0]
        >>> event.as_dict()["changes"], event.as_dict()["item_id"]
        ({'status': {'new': 'paid', 'old': 'open'}}, '42')
        """
        return {
            **self._plain(),
            "changes": parse(self.changes_json),
            "context": parse(self.context_json),
            "moved": parse(self.moved_json),
        }

    def as_json(self) -> str:
        """Return what as_dict() returns as JSON, on one line: numbers keep every digit.

        `changes`, `context` and `moved` are as PostgreSQL wrote them, however deep. Characters that
        a terminal might obey, or a reader of lines split at, are escaped.
        """
        plain = json.dumps(self._plain(), ensure_ascii=False)
        line = (
            f'{plain[:-1]}, "changes": {self.changes_json or "null"}, '
            f'"context": {self.context_json or "null"}, "moved": {self.moved_json or "null"}}}'
        )
        return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)

    def _plain(self) -> dict[str, Any]:
        """Return all columns but those that are JSON themselves."""
        names = [f.name for f in fields(self) if not f.name.endswith("_json")]
        found = {name: getattr(self, name) for name in names}
        return found | {"id": str(self.id), "tx": str(self.tx), "occurred_at": self.occurred_at_iso}


@dataclass(frozen=True, slots=True)
class Page(Sequence[Event]):
    """Some events, newest first, and how to go on; a sequence of its events.

    An empty page is false as every empty sequence is, and always the last one.

    >>> page = auditdb.events(conn, item=("invoice", 42))
    >>> len(page), [event.action for event in page], page[-1].action
    (2, ['invoice_updated', 'invoice_created'], 'invoice_created')
    """

    events: tuple[Event, ...]
    next_cursor: str | None
    """What to give as `cursor` for the next page; None on the last one."""

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        return self.events[index]


@dataclass(frozen=True, slots=True)
class Change:
    """One column that an event changed."""

    column: str
    """The column, or a path such as features/F1/max_consumption, as it is called now or was last.
    """
    old: str | None
    """The value before, as text; None where it was null or there was none."""
    new: str | None
    """The value after, as text; None where it is null or there is none."""
    is_redacted: bool
    """Whether the values are secret and so not in the log."""
    column_then: str
    """The same as it was called then."""


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
    on_behalf_of_type: str | None
    on_behalf_of_id: str | None
    on_behalf_of_label: str | None
    old: Any
    """The value before, from JSON; None where it was null, and where the item began."""
    new: Any
    """The value after, from JSON; None where it is null, and where the item ended."""
    is_redacted: bool
    """Whether the values are secret and so not in the log."""
    key: str
    """The key of the event, as in Event."""
    table_name: str | None
    """The table as in Event; None where the row does not say it."""
    column_then: str
    """The column as it was called then."""

    @property
    def occurred_at_iso(self) -> str:
        """When, in UTC, as ISO 8601 with microseconds, and with every year that PostgreSQL has.

        Years from 10000 on have more digits, those before the year 1 end in " BC".
        """
        return _iso(self.occurred_at, self.key)


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

    The columns of the item's parts have paths, as in Event.changes. All have the names that they
    have now, or had last.
    """
    redacted: frozenset[str] = frozenset()
    """The columns that are secret."""
    unknown: frozenset[str] = frozenset()
    """The columns whose value the log does not know: it began after the item, and they have not
    changed since."""
    names_then: Mapping[str, str] = field(default_factory=dict)
    """What those columns were called then that have another name now."""
    moved: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """Of an item that did not exist: from where it came later, or where it had gone, as
    Event.moved; empty where it neither came nor went."""


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
    """The day in the time zone asked for; one that Python cannot show is its first or last."""


def _iso(moment: datetime, key: str) -> str:
    if MINYEAR < moment.year < MAXYEAR:
        return moment.astimezone(UTC).isoformat(timespec="microseconds")
    # At the ends of Python's years stands what is beyond them too: the key has it exactly.
    return page_cursor.in_json(page_cursor.read_key(key).moment)


def parse(text: str | None) -> Any:
    """Return the Python value of JSON `text`, with int or Decimal for numbers; None for None."""
    return None if text is None else json.loads(text, parse_float=Decimal, parse_int=_integer)


def _integer(digits: str) -> int | Decimal:
    # Python refuses to read an int of more digits than this.
    return int(digits) if len(digits) < 4000 else Decimal(digits)
