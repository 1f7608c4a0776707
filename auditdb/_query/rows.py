"""Reads the rows of the log: the columns that are asked for, and the Event that each makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditdb._query import page_cursor
from auditdb._query.records import Event
from auditdb._query.statements import MOMENT

if TYPE_CHECKING:
    from auditdb._connection.runner import ResultRow

COLUMNS = (
    f"id, tx, {MOMENT}, account_id, action, action_label, item_type, item_id, "
    "item_label, parent_type, parent_id, actor_type, actor_id, actor_label, db_role, application, "
    "is_cascade, changes::text as changes_json, context::text as context_json"
)
"""The columns of an event, in the order of the fields of Event."""


def event(row: ResultRow) -> Event:
    """Return the event whose COLUMNS are in `row`."""
    number, tx, moment, *others = row
    return Event(number, tx, page_cursor.to_datetime(int(moment)), *others)
