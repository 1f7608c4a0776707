"""Follows the log: gives each row once its transaction is over, none twice and none never."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export import read_transaction, watermark
from auditdb._export.conditions import all_of, of_filter
from auditdb._query import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from auditdb._export.watermark import Mark, Watermark
    from auditdb._query.filters import Filter
    from auditdb._query.records import Event

BATCH = 1000
"""The most rows that are given at a time."""

_COLUMNS = sql.SQL(rows.COLUMNS)
_QUERY = sql.SQL(
    "select {columns} from audit.events as l where {where} "
    "order by l.occurred_at, l.id, l.tx, l.account_id"
)


def batches(
    connection: psycopg.Connection[Any],
    wanted: Filter,
    *,
    interval: float = 1.0,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[list[Event]]:
    """Yield the rows of `wanted` that become visible from now on, for ever.

    Rows come in the order in which they become visible, as seen by a look at the log every
    `interval` seconds; those of one look in the order of their times. With a time to begin at in
    `wanted`, the rows that there are since then come first. On a standby, rows wait for the oldest
    open transaction. Raises WatermarkRefused where the log can no longer be followed, and errors
    of the database as AuditError.
    """
    after: Watermark | None = None
    if wanted.since is None:
        mark = watermark.take(connection, on_standby=True)
        with read_transaction.reading(connection, row_security=True):
            watermark.check_own(connection, mark)
        after = mark.watermark
    while True:
        mark = watermark.take(connection, on_standby=True)
        if after is not None:
            watermark.check_order(after, mark)
        if after is None or not (
            mark.watermark == after or watermark.not_after(mark.watermark, after)
        ):
            yield from _new(connection, wanted, after, mark)
            after = mark.watermark
        wait(interval)


def _new(
    connection: psycopg.Connection[Any], wanted: Filter, after: Watermark | None, mark: Mark
) -> Iterator[list[Event]]:
    where = all_of([of_filter(wanted), watermark.between(after, mark.watermark, mark.eras)])
    with (
        read_transaction.reading(connection, row_security=True),
        connection.cursor("follow") as cursor,
    ):
        watermark.check_own(connection, mark)
        cursor.execute(_QUERY.format(columns=_COLUMNS, where=where))
        while found := cursor.fetchmany(BATCH):
            yield [rows.event(row) for row in found]
