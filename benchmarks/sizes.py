"""Measures the bytes a row of the log takes with its indexes, and with all that belongs to it.

Many statements in a transaction share what a system keeps of a transaction; a statement in a
transaction of its own does not.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import databases
from benchmarks.actors import MANNERS
from benchmarks.backend import Watched
from benchmarks.cases import DELETE, INSERT, UPDATE
from benchmarks.effort import effort as default_effort
from benchmarks.systems import TRIGGERS, UNAUDITED
from benchmarks.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from benchmarks.systems import System
    from tests.support.servers import Server

_CASES = (INSERT, UPDATE, DELETE)
_FIRST = 7_000_000
_APART = 100_000
"""Between the first numbers of two manners, so that no two write the same new row."""


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    systems: Sequence[System] = TRIGGERS,
    effort: Effort | None = None,
) -> list[Result]:
    """Measure the bytes of a row, by how many statements there are in a transaction."""
    effort = effort or default_effort(server.version, full=full)
    workload = databases.licenses(server)
    turns = Turns("sizes", server.version)
    for system in databases.install(server, workload, systems, progress):
        if system.name == UNAUDITED.name:
            continue
        url = server.url(databases.database_of(workload, system))
        with closing(Watched(url, workload.written)) as session:
            _measure(session, system, effort.sized, turns)
        progress(f"bytes: {system.name}")
    return turns.results()


def _measure(session: Watched, system: System, count: int, turns: Turns) -> None:
    first = _FIRST
    for manner in MANNERS:
        for case in _CASES:
            for numbers in (range(first, first + 1), range(first + 1, first + 1 + count)):
                lines = [
                    ";\n".join(statements).encode()
                    for statements in manner.transactions(system, case, numbers)
                ]
                cost = session.cost(partial(_send, session, lines))
            turns.add(manner.title(case), system.name, "log", cost.log / count, "bytes")
        first += _APART


def _send(session: Watched, lines: Sequence[bytes]) -> None:
    for line in lines:
        session.connection.execute(line)
