"""Reads the rows of the log: the columns that are asked for, and the Event that each makes."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from auditdb._query import page_cursor
from auditdb._query.records import Event
from auditdb._query.statements import MOMENT

if TYPE_CHECKING:
    from auditdb._connection.runner import ResultRow


def event_columns(time: str = MOMENT) -> str:
    """Return what to select for the fields of Event, in their order, with `time` for its time."""
    found = []
    for one in fields(Event):
        document = one.name.removesuffix("_json")
        if one.name == "occurred_at":
            found.append(time)
        else:
            # Documents exactly as PostgreSQL writes them.
            found.append(one.name if document == one.name else f"{document}::text as {one.name}")
    return ", ".join(found)


COLUMNS = event_columns()
"""The columns of an event, in the order of the fields of Event."""


def event(row: ResultRow) -> Event:
    """Return the event whose COLUMNS are in `row`."""
    number, tx, moment, *others = row
    return Event(number, tx, page_cursor.to_datetime(int(moment)), *others)
