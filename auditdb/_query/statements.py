"""Builds the queries of the log: the events of a filter in some months, pages of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditdb._connection.runner import Query
from auditdb._query import page_cursor
from auditdb._query.filters import moment_of

if TYPE_CHECKING:
    from auditdb._query.filters import Filter
    from auditdb._query.months import Window
    from auditdb._query.page_cursor import Position

MOMENT = "trunc(extract(epoch from occurred_at) * 1000000)::text"
"""The time as it is read, in microseconds: free of the session's time zone and date style, and of
what the application makes of numbers; the last years are too much for a bigint."""

_SELECT = "(select {columns} from audit.events where {where})"
_NEWEST = """
(select {columns}
 from ({events}) as e
 order by occurred_at desc, id desc, tx desc
 limit cast(:limit as bigint))
"""


def select(columns: str, wanted: Filter, window: Window) -> str:
    """Return the select of `columns` from the events of `wanted` in a window."""
    return " union all ".join(
        _SELECT.format(columns=columns, where=" and ".join(arm) or "true")
        for arm in wanted.arms(window.conditions())
    )


def page_query(
    columns: str, wanted: Filter, window: Window, limit: int, before: Position | None
) -> Query:
    """Return the query for the newest `limit` events of `wanted` in a window before a position."""
    conditions = window.conditions()
    values = {**wanted.values, "limit": limit}
    if before is not None:
        conditions.append(
            f"(occurred_at, id, tx) < ({moment_of('at')}, cast(:id as bigint), cast(:tx as bigint))"
        )
        values |= {"at": page_cursor.to_text(before.moment), "id": before.id, "tx": before.tx}
    arms = [
        _NEWEST.format(
            columns="*", events=_SELECT.format(columns="*", where=" and ".join(arm) or "true")
        )
        for arm in wanted.arms(conditions)
    ]
    return Query(_NEWEST.format(columns=columns, events=" union all ".join(arms)), values)
