"""Asks for what it takes to undo a transaction, an event or an item's changes, and undoes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from auditdb._connection.runner import Query, helper
from auditdb._query.filters import exact, filtered, moment_of
from auditdb._query.page_cursor import to_text
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from datetime import datetime

    from auditdb._connection.runner import Reading
    from auditdb._query.filters import Item

OnConflict: TypeAlias = Literal["stop", "skip", "force"]
"""What an undo does with rows that were changed since: nothing at all, all others, overwrite."""

_PLAN = """
select step, table_name, key, operation, statement, conflict, restorable, missing
from audit.undo_plan({asked})
order by step
"""
_UNDO = "select audit.undo({asked}, on_conflict => cast(:on_conflict as text))"


@dataclass(frozen=True, slots=True)
class UndoStep:
    """One row of a table that an undo brings back to what it was."""

    step: int
    table_name: str | None
    """The table, with its schema; None for what is no row of a tracked table."""
    key: str
    """The primary key; of several columns as a path."""
    operation: str | None
    """insert, update or delete: what the undo does."""
    statement: str | None
    """The statement; None where there is nothing that can be done."""
    conflict: str | None
    """What was changed since, or refers to the row; None where nothing is against it."""
    restorable: str
    """yes; partly, without what is missing; or no."""
    missing: tuple[str, ...]
    """What cannot be restored, and why."""

    def as_json(self) -> str:
        """Return the step as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


@helper
def undo_plan(
    *,
    tx: int | None = None,
    era: int | None = None,
    event: str | None = None,
    item: Item | None = None,
    at: datetime | None = None,
) -> Reading[tuple[UndoStep, ...]]:
    """Read what it takes to undo one of three, step by step; nothing is changed.

    tx: a transaction, by its number; `era` where several have it.
    event: one event, by its `key`.
    item, at: what was done to an item, ("license", 42), and its parts after a time.

    It takes the rights to read the log and the tables. Errors are those of events().

    >>> (event,) = auditdb.events(conn, action="invoice_updated").events
    >>> [(one.operation, one.key, one.conflict) for one in auditdb.undo_plan(conn, event=event.key)]
    [('update', '42', None)]
    """
    asked, values = _asked(tx, era, event, item, at)
    found = yield Query(_PLAN.format(asked=asked), values)
    return tuple(
        UndoStep(
            step=row[0],
            table_name=row[1],
            key=row[2],
            operation=row[3],
            statement=row[4],
            conflict=row[5],
            restorable=row[6],
            missing=tuple(row[7]),
        )
        for row in found
    )


@helper
def undo(
    *,
    tx: int | None = None,
    era: int | None = None,
    event: str | None = None,
    item: Item | None = None,
    at: datetime | None = None,
    on_conflict: OnConflict = "stop",
) -> Reading[int]:
    """Undo what undo_plan() shows, in the current transaction; return how many rows went back.

    The transaction needs an actor, or it is ActorRequired. Where rows were changed since or cannot
    be restored, `on_conflict` says what to do: `stop` raises UndoRefused, `skip` leaves these rows
    as they are, `force` overwrites what was changed since.

    >>> (event,) = auditdb.events(conn, action="invoice_updated").events
    >>> with conn.transaction(), auditdb.actor("platform_user", 7, connection=conn):
    ...     auditdb.undo(conn, event=event.key)
    1
    """
    if on_conflict not in get_args(OnConflict):
        raise InvalidQuestion(f"on_conflict is {on_conflict!r}: give stop, skip or force.")
    asked, values = _asked(tx, era, event, item, at)
    found = yield Query(_UNDO.format(asked=asked), {**values, "on_conflict": on_conflict})
    count: int = found[0][0]
    return count


def _asked(
    tx: int | None, era: int | None, event: str | None, item: Item | None, at: datetime | None
) -> tuple[str, dict[str, str | int]]:
    """Return what is undone as arguments of SQL, and their values."""
    if sum(one is not None for one in (tx, event, item)) != 1 or (item is None) != (at is None):
        raise InvalidQuestion("Give one of these: tx, event, or item and at.")
    if era is not None and tx is None:
        raise InvalidQuestion("era goes with tx.")
    arguments: list[str] = []
    values: dict[str, str | int] = {}
    if tx is not None:
        arguments.append("tx => cast(:tx as bigint)")
        values["tx"] = tx
    if era is not None:
        arguments.append("era => cast(:era as integer)")
        values["era"] = era
    if event is not None:
        arguments.append("event => cast(:event as text)")
        values["event"] = event
    if item is not None and at is not None:
        item_type, item_id = filtered(item=item).item or item
        arguments += [
            "item_type => cast(:item_type as text)",
            "item_id => cast(:item_id as text)",
            f"at => {moment_of('at')}",
        ]
        values |= {
            "item_type": item_type,
            "item_id": str(item_id),
            "at": to_text(exact("at", at)),
        }
    return ", ".join(arguments), values
