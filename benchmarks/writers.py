"""Measures writers that change one row at a time on licensing.licenses."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from benchmarks import databases
from benchmarks.backend import Watched
from benchmarks.cases import CASES
from benchmarks.counting import count_all, has_valgrind
from benchmarks.effort import effort as default_effort
from benchmarks.load import load, script, with_clients
from benchmarks.systems import TRIGGERS, System
from benchmarks.turns import Turns, rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.cases import Case
    from benchmarks.databases import Workload
    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from tests.support.servers import Server

MIXED = "all four in turn"
"""Case of many clients that insert, update, update a counter, and delete."""


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    systems: Sequence[System] = TRIGGERS,
    effort: Effort | None = None,
) -> list[Result]:
    """Measure a statement's CPU time, instructions, log and WAL, and what many clients get done.

    Where valgrind is installed, the server is stopped for a while: to count, a backend runs alone.
    """
    effort = effort or default_effort(server.version, full=full)
    workload = databases.licenses(server)
    ready = databases.install(server, workload, systems, progress)
    turns = Turns("writers", server.version)
    _statements(server, workload, ready, effort, turns, progress)
    _loads(server, workload, ready, effort, turns, progress)
    if has_valgrind():
        # In fresh databases: what other clients left on the pages would be counted too.
        ready = databases.install(server, workload, ready, progress)
        count_all(server, workload, ready, effort.counted, turns, progress)
    else:
        progress("valgrind is not installed: no instructions are counted")
    return turns.results()


def _statements(
    server: Server,
    workload: Workload,
    systems: Sequence[System],
    effort: Effort,
    turns: Turns,
    progress: Callable[[str], None],
) -> None:
    with ExitStack() as stack:
        sessions = [
            (
                system,
                stack.enter_context(
                    closing(
                        Watched(
                            server.url(databases.database_of(workload, system)), workload.written
                        )
                    )
                ),
            )
            for system in systems
        ]
        for system, session in sessions:
            for case in CASES:
                _run(session, system, case, range(min(effort.statements, 100)))
        for turn in range(1, effort.rounds + 1):
            rows = range(turn * effort.statements, (turn + 1) * effort.statements)
            for case in CASES:
                for system, session in rotated(sessions, turn - 1):
                    _statement(session, system, case, rows, turns)
            for _, session in sessions:
                session.connection.execute("vacuum licensing.licenses")
            progress(f"one row at a time: round {turn} of {effort.rounds}")


def _run(session: Watched, system: System, case: Case, rows: range) -> None:
    parameters = [case.parameters(number) for number in rows]
    session.run(case.statement, parameters, actor=system.actor)


def _statement(session: Watched, system: System, case: Case, rows: range, turns: Turns) -> None:
    cost = session.cost(lambda: _run(session, system, case, rows))
    turns.add(case.title, system.name, "cpu", cost.cpu / len(rows), "µs")
    turns.add(case.title, system.name, "wal", cost.wal / len(rows), "bytes")
    turns.add(case.title, system.name, "log", cost.log / len(rows), "bytes")


def _loads(
    server: Server,
    workload: Workload,
    systems: Sequence[System],
    effort: Effort,
    turns: Turns,
    progress: Callable[[str], None],
) -> None:
    for system in systems:
        name = databases.database_of(workload, system)
        load(server, name, script(system, CASES), clients=1, transactions=500)
    for turn in range(1, effort.turns + 1):
        for clients in effort.clients:
            for system in rotated(systems, turn - 1):
                name = databases.database_of(workload, system)
                databases.vacuum(server, workload, system)
                text = script(system, CASES)
                done = load(server, name, text, clients=clients, transactions=effort.transactions)
                statements = len(CASES)
                unit = "statements/s"
                case = with_clients(MIXED, clients)
                turns.add(case, system.name, "cpu", done.cpu / statements, "µs")
                turns.add(case, system.name, "rate", done.rate * statements, unit)
        progress(f"many clients: round {turn} of {effort.turns}")
