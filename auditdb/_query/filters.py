"""Which events are wanted: what each filter takes, is in SQL, and is called in a manifest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from auditdb._query import page_cursor
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Id: TypeAlias = str | int | UUID
"""An id as the application has it; the log keeps it as text."""
Item: TypeAlias = tuple[str, Id]
"""Type and id of an item, such as ("license", 42)."""
ActorFilter: TypeAlias = str | tuple[str, Id | None]
"""Type and id of an actor, such as ("platform_user", 42); without an id all of the type."""

# ISO 8601, 4.3.13; no place on earth is further away.
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>0\d|1[0-4])(:?(?P<minutes>[0-5]\d))?")
# Names of the IANA database and abbreviations; some old names have a number.
_ZONE = re.compile(
    r"[A-Za-z]+|[A-Z]{3}(5EDT|6CDT|7MDT|8PDT)|GMT[+-]?0|[A-Z]{1,2}-[A-Za-z]{2,4}"
    r"|[A-Za-z]+(/[A-Za-z0-9_+-]+)+"
)

_OF_ITEM = "item_type = cast(:item_type as text) and item_id = cast(:item_id as text)"
_OF_PARTS = (
    "parent_type = cast(:item_type as text) and parent_id = cast(:item_id as text) "
    f"and not ({_OF_ITEM})"
)

# The layouts of the declarations whose table is called so in the newest one. An array is looked up
# once; IN would be a join, after which a page could not be read in order.
_LAYOUTS = """layout = any (array(
  select y.id
  from audit.layout as y
  where (
    select n.table_name
    from audit.layout as n
    where n.tracked_id = y.tracked_id
    order by n.id desc
    limit 1) = any (array[{}])))"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events of the log are wanted, as filtered() returns it; by default all."""

    account_id: str | None = None
    item: tuple[str, str] | None = None
    """Type and id: the events about the item and, with `include_parts`, about its parts."""
    include_parts: bool = True
    tables: tuple[str, ...] | None = None
    """Any of them, by the names that they have now."""
    actions: tuple[str, ...] | None = None
    """Any of them."""
    actor: tuple[str, str | None] | None = None
    """Type and id; without an id all of the type."""
    on_behalf_of: tuple[str, str | None] | None = None
    """Type and id of whom the actor did it for, as `actor`."""
    since: int | None = None
    """The earliest time in microseconds since 1970, itself included."""
    until: int | None = None
    """The latest time in microseconds since 1970, itself not included."""
    baseline: bool = True
    """Whether rows are wanted too that tell what was there when audit.baseline() ran."""

    @property
    def conditions(self) -> list[str]:
        """The conditions on columns of the log, with parameters as :name, all but the item's."""
        return [condition for condition, _ in self._parts()]

    @property
    def values(self) -> dict[str, str | int]:
        """The values of all parameters, also of the item's."""
        found = {name: value for _, values in self._parts() for name, value in values.items()}
        if self.item is not None:
            found["item_type"], found["item_id"] = self.item
        return found

    def arms(self, more: Sequence[str] = ()) -> list[list[str]]:
        """Return the conditions with `more` for each part of what is wanted; no event is in two.

        The events of an item with its parts are two, since each has an index of its own that an OR
        would not use in order.
        """
        shared = [*self.conditions, *more]
        return [[*shared, arm] for arm in self._of_item()] or [shared]

    def condition(self) -> str:
        """Return all that is wanted as one condition, for queries that no index has to answer."""
        arms = " or ".join(f"({arm})" for arm in self._of_item())
        return " and ".join([*self.conditions, *([f"({arms})"] if arms else [])]) or "true"

    def as_json(self) -> dict[str, Any]:
        """Return what is wanted as a manifest says it: a key for each filter, null for none."""
        return {
            "account_id": self.account_id,
            "item": None if self.item is None else ":".join(self.item),
            "tables": None if self.tables is None else sorted(self.tables),
            "actions": None if self.actions is None else sorted(self.actions),
            "actor": _joined(self.actor),
            "on_behalf_of": _joined(self.on_behalf_of),
            "since": None if self.since is None else page_cursor.to_iso(self.since),
            "until": None if self.until is None else page_cursor.to_iso(self.until),
        }

    def _parts(self) -> Iterator[tuple[str, dict[str, str | int]]]:
        """Yield each condition with its values."""
        if self.account_id is not None:
            yield _equal("account_id", self.account_id)
        if self.tables is not None:
            yield _any_of("table", _LAYOUTS, self.tables)
        if self.actions is not None:
            yield _any_of("action", "action = any (array[{}])", self.actions)
        for who, given in (("actor", self.actor), ("on_behalf_of", self.on_behalf_of)):
            if given is not None:
                kind, number = given
                yield _equal(f"{who}_type", kind)
                if number is not None:
                    yield _equal(f"{who}_id", number)
        for name, sign, moment in (("since", ">=", self.since), ("until", "<", self.until)):
            if moment is not None:
                condition = f"occurred_at {sign} {moment_of(name)}"
                yield condition, {name: page_cursor.to_text(moment)}
        # Who names actions has said which.
        if not self.baseline and self.actions is None:
            yield "action <> (item_type || '_baseline')", {}

    def _of_item(self) -> list[str]:
        if self.item is None:
            return []
        return [_OF_ITEM, _OF_PARTS] if self.include_parts else [_OF_ITEM]


def filtered(
    *,
    account_id: Id | None = None,
    item: Item | None = None,
    include_parts: bool = True,
    table: str | Sequence[str] | None = None,
    action: str | Sequence[str] | None = None,
    actor: ActorFilter | None = None,
    on_behalf_of: ActorFilter | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: bool = True,
) -> Filter:
    """Return the filter for what is given; raises InvalidQuestion for what makes no sense."""
    actions = [action] if isinstance(action, str) else action
    tables = [table] if isinstance(table, str) else table
    return Filter(
        account_id=None if account_id is None else _text("account_id", account_id),
        item=None if item is None else _item(item),
        include_parts=include_parts,
        tables=None if tables is None else tuple(_text("table", name) for name in tables),
        actions=None if actions is None else tuple(_text("action", code) for code in actions),
        actor=None if actor is None else _actor("actor", actor),
        on_behalf_of=None if on_behalf_of is None else _actor("on_behalf_of", on_behalf_of),
        since=None if since is None else exact("since", since),
        until=None if until is None else exact("until", until),
        baseline=baseline,
    )


def exact(name: str, moment: datetime) -> int:
    """Return `moment` in microseconds since 1970; raises InvalidQuestion without a time zone."""
    if not isinstance(moment, datetime):
        raise InvalidQuestion(f"{name} is no datetime.", hint="Give a datetime with a time zone.")
    if moment.utcoffset() is None:
        raise InvalidQuestion(
            f"{name} has no time zone.", hint="Give one, such as datetime.now(tz=timezone.utc)."
        )
    return page_cursor.microseconds(moment)


def moment_of(parameter: str) -> str:
    """Return the SQL for the time that a parameter holds as text."""
    # As text first: asyncpg would ask for a datetime, which cannot be of every year.
    return f"cast(cast(:{parameter} as text) as timestamptz)"


def time_zone(parameter: str, name: str) -> tuple[str, str]:
    """Return the SQL for the time zone `name`, and the text that its parameter has to hold.

    An offset counts as in ISO 8601: +02:00 is east of Greenwich. PostgreSQL itself takes it, and
    UTC+2, by POSIX, where it is west; so what is neither a name nor an offset of ISO 8601 is an
    InvalidQuestion. Names that hold offsets, such as Etc/GMT+2, mean what they are defined to.
    """
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        text = f"{offset['sign']}{offset['hours']}:{offset['minutes'] or '00'}"
        return f"cast(cast(:{parameter} as text) as interval)", text
    if not _ZONE.fullmatch(name):
        raise InvalidQuestion(
            f"{parameter} is {name!r}, which is no name of a time zone.",
            hint="Give a name such as Europe/Berlin, or an offset such as +02:00.",
        )
    return f"cast(:{parameter} as text)", name


def _equal(column: str, value: str) -> tuple[str, dict[str, str | int]]:
    return f"{column} = cast(:{column} as text)", {column: value}


def _any_of(name: str, condition: str, values: Sequence[str]) -> tuple[str, dict[str, str | int]]:
    named: dict[str, str | int] = {f"{name}_{n}": value for n, value in enumerate(values)}
    listed = ", ".join(f"cast(:{one} as text)" for one in named)
    return (condition.format(listed) if named else "false"), named


def _item(given: Item) -> tuple[str, str]:
    kind, number = _pair("item", given)
    return _text("item", kind), _text("item", number)


def _actor(name: str, given: ActorFilter) -> tuple[str, str | None]:
    kind, number = (given, None) if isinstance(given, str) else _pair(name, given)
    return _text(name, kind), None if number is None else _text(name, number)


def _joined(given: tuple[str, str | None] | None) -> str | None:
    return None if given is None else ":".join(part for part in given if part)


def _pair(name: str, given: Any) -> tuple[str, Id | None]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise InvalidQuestion(
            f"{name} is no pair of a type and an id.", hint=f'Give {name}=("type", 42).'
        )
    kind, number = given
    return kind, number


def _text(name: str, value: Id | None) -> str:
    if isinstance(value, str):
        # Not str(): of a member of an enum that would be its name.
        found = str.__str__(value)
    elif isinstance(value, int | UUID):
        found = str(int(value)) if isinstance(value, int) else str(value)
    else:
        raise InvalidQuestion(f"{name} is of type {type(value).__name__}: give str, int or UUID.")
    if "\0" in found:
        raise InvalidQuestion(f"{name} holds a null character, which no text of PostgreSQL can.")
    return found
