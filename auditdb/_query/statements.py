"""Builds the queries of the log: conditions, items with their parts, pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from auditdb._connection.runner import Query
from auditdb._query import page_cursor
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditdb._query.months import Window
    from auditdb._query.page_cursor import Position

Id: TypeAlias = str | int | UUID
"""An id as the application has it; the log keeps it as text."""
Item: TypeAlias = tuple[str, Id]
"""Type and id of an item, such as ("license", 42)."""
ActorFilter: TypeAlias = str | tuple[str, Id | None]
"""Type and id of an actor, such as ("platform_user", 42); without an id all of the type."""

MOMENT = "trunc(extract(epoch from occurred_at) * 1000000)::text"
"""The time as it is read, in microseconds: free of the session's time zone and date style, and of
what the application makes of numbers; the last years are too much for a bigint."""


_OF_ITEM = "item_type = cast(:item_type as text) and item_id = cast(:item_id as text)"
_OF_PARTS = (
    "parent_type = cast(:item_type as text) and parent_id = cast(:item_id as text) "
    f"and not ({_OF_ITEM})"
)
_SELECT = "(select {columns} from audit.events where {where})"
_NEWEST = """
(select {columns}
 from ({events}) as e
 order by occurred_at desc, id desc
 limit cast(:limit as bigint))
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to read, as conditions with their values; times in microseconds since 1970."""

    conditions: tuple[str, ...] = ()
    values: dict[str, str | int] = field(default_factory=dict)
    has_item: bool = False
    include_parts: bool = False
    since: int | None = None
    until: int | None = None


def filtered(
    *,
    account_id: Id | None = None,
    item: Item | None = None,
    include_parts: bool = True,
    action: str | Sequence[str] | None = None,
    actor: ActorFilter | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Filter:
    """Return the filter for what is given; raises InvalidQuestion for what makes no sense."""
    conditions: list[str] = []
    values: dict[str, str | int] = {}

    def equal(column: str, value: str) -> None:
        conditions.append(f"{column} = cast(:{column} as text)")
        values[column] = value

    if account_id is not None:
        equal("account_id", _text("account_id", account_id))
    if action is not None:
        codes = [action] if isinstance(action, str) else list(action)
        names = {f"action_{number}": _text("action", code) for number, code in enumerate(codes)}
        listed = ", ".join(f"cast(:{name} as text)" for name in names)
        conditions.append(f"action in ({listed})" if names else "false")
        values |= names
    if actor is not None:
        kind, number = (actor, None) if isinstance(actor, str) else _pair("actor", actor)
        equal("actor_type", _text("actor", kind))
        if number is not None:
            equal("actor_id", _text("actor", number))
    first = None if since is None else exact("since", since)
    end = None if until is None else exact("until", until)
    for name, sign, moment in (("since", ">=", first), ("until", "<", end)):
        if moment is not None:
            conditions.append(f"occurred_at {sign} {moment_of(name)}")
            values[name] = page_cursor.to_text(moment)
    if item is not None:
        kind, number = _pair("item", item)
        values |= {"item_type": _text("item", kind), "item_id": _text("item", number)}
    return Filter(tuple(conditions), values, item is not None, include_parts, first, end)


def exact(name: str, moment: datetime) -> int:
    """Return `moment` in microseconds since 1970; raises InvalidQuestion without a time zone."""
    if not isinstance(moment, datetime):
        raise InvalidQuestion(f"{name} is no datetime.", hint="Give a datetime with a time zone.")
    if moment.utcoffset() is None:
        raise InvalidQuestion(
            f"{name} has no time zone.", hint="Give one, such as datetime.now(tz=timezone.utc)."
        )
    return page_cursor.microseconds(moment)


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


def moment_of(parameter: str) -> str:
    """Return the SQL for the time that a parameter holds as text."""
    # As text first: asyncpg would ask for a datetime, which cannot be of every year.
    return f"cast(cast(:{parameter} as text) as timestamptz)"


def select(columns: str, wanted: Filter, window: Window) -> str:
    """Return the select of `columns` from the events of `wanted` in a window."""
    return " union all ".join(
        _SELECT.format(columns=columns, where=" and ".join(arm) or "true")
        for arm in _arms(wanted, [*wanted.conditions, *window.conditions()])
    )


def page_query(
    columns: str, wanted: Filter, window: Window, limit: int, before: Position | None
) -> Query:
    """Return the query for the newest `limit` events of `wanted` in a window before a position."""
    conditions = [*wanted.conditions, *window.conditions()]
    values = {**wanted.values, "limit": limit}
    if before is not None:
        conditions.append(f"(occurred_at, id) < ({moment_of('at')}, cast(:id as bigint))")
        values |= {"at": page_cursor.to_text(before.moment), "id": before.id}
    arms = [
        _NEWEST.format(
            columns="*", events=_SELECT.format(columns="*", where=" and ".join(arm) or "true")
        )
        for arm in _arms(wanted, conditions)
    ]
    return Query(_NEWEST.format(columns=columns, events=" union all ".join(arms)), values)


def _arms(wanted: Filter, conditions: list[str]) -> list[list[str]]:
    """Return the conditions of each arm of a query.

    The events of an item with its parts are two, since each has an index of its own that an OR
    would not use in order.
    """
    if not wanted.has_item:
        return [conditions]
    of = [_OF_ITEM, _OF_PARTS] if wanted.include_parts else [_OF_ITEM]
    return [[*conditions, arm] for arm in of]
