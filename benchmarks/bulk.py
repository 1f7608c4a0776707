"""Measures statements of many rows on licensing.licenses, after one-row statements each."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, LiteralString

import psycopg

from benchmarks import databases
from benchmarks.backend import Watched
from benchmarks.cases import FIRST
from benchmarks.effort import effort as default_effort
from benchmarks.systems import FLOOR, TRIGGERS, System
from benchmarks.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from tests.support.servers import Server

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
_BEFORE = 10
"""Statements of one row before: a plan that is kept is made from what the first ones found."""
_MANY = 10_000
"""Rows from which on every system is told of: it may take a while."""
_LEAST = 5
"""Seconds that a statement may take in any case."""


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
    limits = Limits(effort.patience)
    for rows, repeated in effort.bulk.items():
        rounds = effort.bulk_rounds[rows]
        for turn in range(1, rounds + 1):
            for system in ready:
                url = server.url(databases.database_of(workload, system))
                with closing(Watched(url, workload.written)) as session:
                    _turn(session, system, rows, repeated, limits, turns)
                if rows >= _MANY:
                    progress(f"{rows:,} rows: {system.name}")
            progress(f"{rows:,} rows: round {turn} of {rounds}")
    for (case, name), seconds in limits.stopped.items():
        turns.add(case, name, "stopped", seconds, "s")
        progress(f"{name}: {case} was stopped after {seconds} s")
    return turns.results()


@dataclass(slots=True)
class Limits:
    """How long a statement may take: a plan that does not scale would take hours."""

    patience: float
    stopped: dict[tuple[str, str], int] = field(default_factory=dict)
    """Case and system of what was stopped, with the seconds it took until then."""
    _floor: dict[str, float] = field(default_factory=dict)

    def limit(self, case: str) -> int:
        """Return the seconds that a statement may take; 0, for ever, until the floor is known."""
        floor = self._floor.get(case)
        return 0 if floor is None else max(_LEAST, round(self.patience * floor))

    def done(self, case: str, system: str, seconds: float) -> None:
        """Note how long the statements of a case took."""
        if system == FLOOR.name:
            self._floor[case] = max(seconds, self._floor.get(case, 0))


def _turn(
    session: Watched, system: System, rows: int, repeated: int, limits: Limits, turns: Turns
) -> None:
    """Measure each statement in a session that has done the same for one row a few times.

    Without the rows of an insert that was stopped there is nothing to update or delete.
    """
    for _ in range(_BEFORE):
        for statement in STATEMENTS.values():
            session.run(statement, [(FIRST, FIRST)], actor=system.actor)
    ranges = [(FIRST + n * rows, FIRST + (n + 1) * rows - 1) for n in range(repeated)]
    total = rows * repeated
    for title, statement in STATEMENTS.items():
        case = f"{title}, {rows:,} row{'s' * (rows > 1)}"
        if (case, system.name) in limits.stopped:
            if title == "insert":
                break
            continue

        def work(statement: LiteralString = statement, case: str = case) -> None:
            began, limit = time.monotonic(), limits.limit(case)
            try:
                session.run(statement, ranges, actor=system.actor, limit=limit)
            except psycopg.errors.QueryCanceled:
                limits.stopped[case, system.name] = limit
            limits.done(case, system.name, time.monotonic() - began)

        cost = session.cost(work)
        # Of what was stopped this is less than the whole.
        turns.add(case, system.name, "cpu", cost.cpu / total, "µs")
        if (case, system.name) not in limits.stopped:
            turns.add(case, system.name, "wal", cost.wal / total, "bytes")
            turns.add(case, system.name, "log", cost.log / total, "bytes")
        elif title == "insert":
            break
    session.connection.execute("vacuum licensing.licenses")
    session.connection.execute("checkpoint")
