"""Measures statements of many rows on licensing.licenses, after a one-row statement each."""

from __future__ import annotations

import contextlib
from contextlib import closing
from typing import TYPE_CHECKING, LiteralString

import psycopg

from benchmarks import databases
from benchmarks.backend import Watched
from benchmarks.cases import FIRST
from benchmarks.effort import effort as default_effort
from benchmarks.systems import TRIGGERS, System
from benchmarks.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from tests.servers import Server

# Each takes the first and the last id of the rows. In this order they leave the table as it was.
STATEMENTS: dict[str, LiteralString] = {
    "insert": (
        "insert into licensing.licenses (id, account_id, product_id, order_id, customer_id, "
        "license_key, note) select g, 1, 1, 1 + g %% 1000, 1 + g %% 100, 'DDDD-EEEE-FFFF-' || g, "
        "'note ' || g from generate_series(%s::bigint, %s::bigint) as g"
    ),
    "update": "update licensing.licenses set note = 'changed ' || id where id between %s and %s",
    "delete": "delete from licensing.licenses where id between %s and %s",
}


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    systems: Sequence[System] = TRIGGERS,
    effort: Effort | None = None,
) -> list[Result]:
    """Measure the CPU time, log and WAL for each row of a statement, by how many rows it has."""
    effort = effort or default_effort(server.version, full=full)
    workload = databases.licenses(server)
    ready = databases.install(server, workload, systems, progress)
    turns = Turns("bulk", server.version)
    for rows, repeated in effort.bulk.items():
        rounds = effort.bulk_rounds[rows]
        for turn in range(1, rounds + 1):
            for system in ready:
                url = server.url(databases.database_of(workload, system))
                with closing(Watched(url, workload.written)) as session:
                    stopped = _turn(session, system, rows, repeated, effort.limit, turns)
                for case in stopped:
                    progress(f"{system.name}: {case} was stopped after {effort.limit} s")
                progress(f"{rows:,} rows: round {turn} of {rounds} ({system.name})")
    return turns.results()


def _turn(
    session: Watched, system: System, rows: int, repeated: int, limit: int, turns: Turns
) -> list[str]:
    """Measure each statement in a session that has seen the same for one row.

    What takes longer than the limit in seconds is stopped: then what is given for its CPU time is
    less than the whole, and a number `stopped` says so. Returns the cases that were.
    """
    for statement in STATEMENTS.values():
        session.run(statement, [(FIRST, FIRST)], actor=system.actor)
    session.connection.execute(f"set statement_timeout to '{limit}s'".encode())
    ranges = [(FIRST + n * rows, FIRST + (n + 1) * rows - 1) for n in range(repeated)]
    total = rows * repeated
    stopped = []
    for title, statement in STATEMENTS.items():
        done = []

        def work(statement: LiteralString = statement, done: list[bool] = done) -> None:
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                session.run(statement, ranges, actor=system.actor)
                done.append(True)

        cost = session.cost(work)
        case = f"{title}, {rows:,} row{'s' * (rows > 1)}"
        turns.add(case, system.name, "cpu", cost.cpu / total, "µs")
        if done:
            turns.add(case, system.name, "wal", cost.wal / total, "bytes")
            turns.add(case, system.name, "log", cost.log / total, "bytes")
        else:
            turns.add(case, system.name, "stopped", limit, "s")
            stopped.append(case)
    session.connection.execute("set statement_timeout to 0")
    session.connection.execute("vacuum licensing.licenses")
    session.connection.execute("checkpoint")
    return stopped
