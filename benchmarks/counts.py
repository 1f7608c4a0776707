"""Counts what users pay in instructions: statements with their transactions and actors.

A backend runs alone under Callgrind for each system, so that no load blurs the numbers. It writes
as a role of an application: PostgreSQL checks the rights of each function that a statement calls,
for everybody but a superuser. Without valgrind nothing is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from benchmarks import databases
from benchmarks.actors import BY_CALL, MANNERS, transaction
from benchmarks.bulk import STATEMENTS
from benchmarks.cases import CASES
from benchmarks.counting import MARK, WARM, between_marks, has_valgrind, stopped
from benchmarks.effort import effort as default_effort
from benchmarks.systems import AUDITDB, TRIGGERS, UNAUDITED
from benchmarks.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.databases import Workload
    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from benchmarks.systems import System
    from tests.support.servers import Server

BULK = 300
"""Rows of a statement of many."""
_APART = 20_600
"""Between the first numbers of two parts, so that no two write the same row, be it new or not."""
_BEFORE = 10
"""Statements of one row before those of many: a plan that is kept is made from what they found."""
_FIRST = 5_000_000
_LOGIN = f"set session authorization {databases.APPLICATION}"

# pgbench's own statements, of the n-th transaction.
_TPCB = (
    "update pgbench_accounts set abalance = abalance + {delta} where aid = {aid}",
    "select abalance from pgbench_accounts where aid = {aid}",
    "update pgbench_tellers set tbalance = tbalance + {delta} where tid = {tid}",
    "update pgbench_branches set bbalance = bbalance + {delta} where bid = 1",
    (
        "insert into pgbench_history (tid, bid, aid, delta, mtime) "
        "values ({tid}, 1, {aid}, {delta}, current_timestamp)"
    ),
)


@dataclass(frozen=True, slots=True)
class Part:
    """Lines whose instructions are counted, after others that make the session warm."""

    title: str
    warm: list[str]
    counted: list[str]
    units: int
    """Statements, rows or transactions that are counted."""

    def lines(self) -> list[str]:
        """Return the lines for a backend, with a mark after each of the two."""
        mark = f"select {MARK}(0)"
        return [*self.warm, mark, *self.counted, mark]


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    systems: Sequence[System] = TRIGGERS,
    effort: Effort | None = None,
) -> list[Result]:
    """Count statements one at a time and many at once, and TPC-B; nothing without valgrind."""
    if not has_valgrind():
        progress("valgrind is not installed: no instructions are counted")
        return []
    effort = effort or default_effort(server.version, full=full)
    turns = Turns("counts", server.version)
    licenses, pgbench = databases.licenses(server), databases.pgbench(server, 1)
    # In a database of its own, for what others left on the pages would be counted too.
    systems = [one for s in systems for one in ([s, BY_CALL] if s.name == AUDITDB.name else [s])]
    ready = databases.install(server, licenses, systems, progress)
    tellers = databases.install(server, pgbench, systems, progress)
    count = effort.counted
    for workload, installed in ((licenses, ready), (pgbench, tellers)):
        for system in installed:
            databases.admit(server, workload, system)
    with stopped(server):
        for system in ready:
            _count(server, licenses, system, one_row(system, count), turns)
            # In sessions of their own: plans are kept.
            _count(server, licenses, system, many_rows(system), turns)
            _count(server, licenses, system, many_rows(system, _BEFORE), turns)
            progress(f"statements: {system.name}")
        for system in tellers:
            _count(server, pgbench, system, tpcb(system, count), turns)
            progress(f"TPC-B: {system.name}")
    return with_added(turns.results())


def _count(
    server: Server,
    workload: Workload,
    system: System,
    parts: Iterable[Part],
    turns: Turns,
) -> None:
    chosen = list(parts)
    lines = [_LOGIN, *(line for part in chosen for line in part.lines())]
    counted = between_marks(server, databases.database_of(workload, system), lines)[1::2]
    for part, instructions in zip(chosen, counted, strict=True):
        turns.add(
            part.title, system.name, "instructions", instructions / part.units / 1000, "thousand"
        )


def one_row(system: System, count: int) -> Iterator[Part]:
    """Yield each kind of statement: many in a transaction, and a transaction each."""
    first = _FIRST
    for manner in MANNERS:
        for case in CASES:
            warm, counted = (
                list(chain.from_iterable(manner.transactions(system, case, numbers)))
                for numbers in (
                    range(first, first + WARM),
                    range(first + WARM, first + WARM + count),
                )
            )
            yield Part(manner.title(case), warm, counted, count)
        first += _APART


def many_rows(system: System, before: int = 0) -> Iterator[Part]:
    """Yield each kind of statement for many rows at once, in a session that did some for one."""
    first = _FIRST + (20 if before else 10) * _APART
    single = [
        line
        for number in range(before)
        for statement in STATEMENTS.values()
        for line in transaction(system, [statement % (first, first)])
    ]
    after = ", after single ones" if before else ""
    for title, statement in STATEMENTS.items():
        warm, counted = (
            transaction(system, [statement % (start, start + BULK - 1)])
            for start in (first, first + BULK)
        )
        yield Part(f"{title}, {BULK} rows at once{after}, for each", single + warm, counted, BULK)
        single = []


def tpcb(system: System, count: int) -> Iterator[Part]:
    """Yield transactions of TPC-B: as pgbench sends them, and with an actor."""
    for is_named in (False, True):
        warm, counted = (
            [
                line
                for number in numbers
                for line in _teller(system if is_named else UNAUDITED, number)
            ]
            for numbers in (range(1, 1 + WARM), range(1 + WARM, 1 + WARM + count))
        )
        title = f"TPC-B, a transaction{', with an actor' * is_named}"
        yield Part(title, warm, counted, count)


def _teller(system: System, number: int) -> list[str]:
    values = {"aid": 1 + number * 7919 % 100_000, "tid": 1 + number % 10, "delta": number}
    return transaction(system, [line.format(**values) for line in _TPCB])


def with_added(results: Sequence[Result]) -> list[Result]:
    """Return the numbers, each followed by what it is more than that of the unaudited."""
    plain = {r.case: r.value for r in results if r.system == UNAUDITED.name}
    return [
        one
        for r in results
        for one in (
            [r, replace(r, metric="added", value=r.value - plain[r.case])]
            if r.case in plain and r.system != UNAUDITED.name
            else [r]
        )
    ]
