"""Tells the log the rows of a table that it does not know, one batch a transaction."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from auditdb._upkeep.patience import said
from auditdb.errors import LogBusy, translated

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 10_000
"""Rows of a batch: nobody can change them until it is done, a fraction of a second."""

PATIENCE = 60.0
"""Seconds to go on trying while nothing is left but rows that others hold."""

_PAUSE = 0.2
_IN_THE_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
# What the planner knows of how many rows there are, in all partitions.
_ROWS = """
select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
from pg_class as c
where c.oid = %(table)s::regclass
  or c.oid in (select p.relid from pg_partition_tree(%(table)s::regclass) as p where p.isleaf)
"""
_BATCH = "select b.* from audit.baseline(%(table)s::regclass, %(batch)s) as b"


class Shown(Protocol):
    """What shows how far it is."""

    def begin(self, rows: int, done: int) -> None: ...

    def advance(self, rows: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What a baseline has done."""

    seen: int
    """Rows of the table that were looked at."""
    told: int
    """Rows of the log that were written."""


def run(
    connection: psycopg.Connection[Any],
    table: str,
    shown: Shown,
    *,
    batch: int = BATCH,
    patience: float = PATIENCE,
    pause: float = 0.0,
    wait: Callable[[float], None] = time.sleep,
) -> Told:
    """Tell the log the rows of `table`, or go on where that was broken off, until it is done.

    `connection` must be in autocommit mode: each batch is a transaction, after which it waits for
    `pause` seconds. Raises LogBusy where others held rows, or the table, for `patience` seconds;
    what was told stays. Other errors of the database are raised as AuditError.
    """
    given = {"table": table, "batch": batch}
    seen = told = 0
    with translated():
        row = connection.execute(_ROWS, given).fetchone()
        shown.begin(int(row[0]) if row else 0, 0)
        deadline = time.monotonic() + patience
        while True:
            new, written, waiting, is_done, reason = _step(connection, given)
            seen, told = seen + new, told + written
            shown.advance(new)
            if is_done:
                return Told(seen, told)
            if new == 0 and (waiting or reason):
                if time.monotonic() > deadline:
                    raise LogBusy(
                        f"The baseline of {table} could not go on: "
                        f"{reason or f'other transactions hold {waiting} of its rows'}.",
                        hint="What was told stays. Run it again when they have ended; "
                        "pg_stat_activity lists them.",
                    )
                wait(_PAUSE)
                continue
            deadline = time.monotonic() + patience
            if pause:
                wait(pause)


def _step(
    connection: psycopg.Connection[Any], given: dict[str, Any]
) -> tuple[int, int, int, bool, str | None]:
    """Run one batch; return what it says, and the reason where the table is locked."""
    try:
        row = connection.execute(_BATCH, given).fetchone()
    except _IN_THE_WAY as error:
        return 0, 0, 0, False, said(error)
    if row is None:
        raise AssertionError("audit.baseline() always returns a row")
    return (*row, None)
