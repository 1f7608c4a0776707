"""Rows of an import lie in partitions of their own interval, however old they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditdb._query import page_cursor
from auditdb._upkeep import maintenance

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

MOST = 1200
"""The most intervals that get a partition: a hundred years of months. What is older than these lies
together."""

_END = "select trunc(extract(epoch from audit.interval_after(%s::timestamptz)) * 1000000)::bigint"


class Months:
    """The intervals that rows of an import are in."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Ask `connection` where intervals end."""
        self._connection = connection
        self._end: int | None = None
        self._first: list[int] = []

    def add(self, moments: Iterable[int]) -> None:
        """Take the times of rows, in microseconds since 1970, each no earlier than before."""
        for moment in moments:
            if self._end is None or moment >= self._end:
                self._first.append(moment)
                row = self._connection.execute(_END, [page_cursor.to_text(moment)]).fetchone()
                self._end = row[0] if row else None

    def make(self) -> None:
        """Make partitions for them; raises LogBusy where the log is in use all the time."""
        newest = reversed(self._first[-MOST:])
        maintenance.add_intervals(self._connection, [page_cursor.to_text(m) for m in newest])
