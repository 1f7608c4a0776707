"""What one statement costs on licensing.licenses: counted in instructions, buffers and WAL."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import psycopg

from auditdb._upkeep import migrate
from benchmarks.backend import quiet
from benchmarks.counting import MARK, WARM, between_marks, has_valgrind, stopped
from benchmarks.systems import floor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.servers import Server

REFERENCE = Path(__file__).parent.parent / "tests" / "cost" / "cost.json"
"""What auditdb adds, which the tests hold every change against."""

ACTOR = "\x1f".join(("platform_user", "42", "ana@example.com"))
_STAMP = "extract(epoch from current_timestamp)"
_SET = f"set_config('audit.actor', concat({_STAMP}, '\x1f{ACTOR}'), true)"
_TEMPLATE = "prepared"

# A table with rows, so that a statement finds its row by index.
_ROWS = """
insert into licensing.accounts (name) values ('Acme');
insert into licensing.products (account_id, name, code) values (1, 'Studio', 'studio');
insert into licensing.customers (account_id, email) values (1, 'customer@example.com');
insert into licensing.orders (account_id, customer_id, reference) values (1, 1, 'R-1');
insert into licensing.licenses (account_id, product_id, order_id, customer_id, license_key)
select 1, 1, 1, 1, 'AAAA-BBBB-CCCC-' || g from generate_series(1, 16000) as g;
"""

_UNSETTLED = """
select relname from pg_class
where relnamespace = 'licensing'::regnamespace and relkind = 'r' and relallvisible < relpages
"""

_UNTRACK = "select audit.untrack('licensing.licenses');"
DESIGNS = {
    "unaudited": _UNTRACK,
    "floor": _UNTRACK + floor("licensing.licenses"),
    "auditdb": "",
}
"""What is done in the database of each design, a copy of one with auditdb."""

Costs: TypeAlias = dict[str, dict[str, float]]
"""Of each case, the cost on each design."""


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of statement whose cost is asked for."""

    title: str
    script: Callable[[range], list[str]]
    """Returns the lines that do it to the rows of these numbers, a statement a line."""
    count: int = 60
    """How many statements or rows are counted, after as many or a few that are not."""

    def parts(self, run: int) -> tuple[range, range]:
        """Return numbers of the rows that come before the count, and of those that are counted.

        No two cases and no two runs on a database meet the same rows.
        """
        first = 1 + 1000 * (CASES.index(self) + len(CASES) * run)
        middle = first + (self.count if self.count > 100 else WARM)
        return range(first, middle), range(middle, middle + self.count)


def _insert(numbers: range) -> str:
    return (
        "insert into licensing.licenses (account_id, product_id, order_id, customer_id, "
        "license_key, note) select 1, 1, 1, 1, 'DDDD-EEEE-FFFF-' || g, 'note ' || g "
        f"from generate_series({numbers[0]}, {numbers[-1]}) as g"
    )


def _update(numbers: range) -> str:
    return (
        f"update licensing.licenses set note = 'changed {numbers[0]}' "
        f"where id between {numbers[0]} and {numbers[-1]}"
    )


def _heartbeat(numbers: range) -> str:
    return (
        "update licensing.licenses set times_activated = times_activated + 1, "
        f"last_checked_at = now() where id between {numbers[0]} and {numbers[-1]}"
    )


def _delete(numbers: range) -> str:
    return f"delete from licensing.licenses where id between {numbers[0]} and {numbers[-1]}"


def _together(statement: Callable[[range], str]) -> Callable[[range], list[str]]:
    """One statement for all rows, in a transaction with an actor."""
    return lambda numbers: ["begin", f"select {_SET}", statement(numbers), "commit"]


def _in_one_transaction(statement: Callable[[range], str]) -> Callable[[range], list[str]]:
    """A statement for each row, all in one transaction with an actor."""
    return lambda numbers: [
        "begin",
        f"select {_SET}",
        *(statement(range(n, n + 1)) for n in numbers),
        "commit",
    ]


def _alone(statement: Callable[[range], str]) -> Callable[[range], list[str]]:
    """A statement and a transaction for each row; the statement sets the actor itself."""
    return lambda numbers: [
        statement(range(n, n + 1)) + (" where " if " where " not in statement(numbers) else " and ")
        + f"{_SET} <> ''"
        for n in numbers
    ]  # fmt: skip


BULK = Case("insert of many rows, for each", _together(_insert), 400)
CASES = (
    Case("audited update, many in a transaction", _in_one_transaction(_update)),
    Case("audited update, a transaction each", _alone(_update)),
    Case("update of operational columns", _alone(_heartbeat)),
    Case("insert of one row, a transaction each", _alone(_insert)),
    Case("delete of one row, a transaction each", _alone(_delete)),
    BULK,
    Case("update of many rows, for each", _together(_update), 400),
    Case("delete of many rows, for each", _together(_delete), 400),
)


def measure(server: Server, designs: Sequence[str]) -> dict[str, Costs]:
    """Return the costs in buffers, in WAL and, where valgrind is installed, in instructions."""
    prepare(server, designs)
    buffers, wal = buffers_and_wal(server, designs)
    costs = {"buffers": buffers, "wal": wal}
    return costs | {"instructions": instructions(server, designs)} if has_valgrind() else costs


def prepare(server: Server, designs: Sequence[str]) -> None:
    """Make a database for each design, alike but for the triggers."""
    quiet(server)
    server.execute("create database {} template template0", _TEMPLATE)
    migrate.upgrade(server.url(_TEMPLATE), "heads")
    with psycopg.connect(server.url(_TEMPLATE), autocommit=True) as connection:
        connection.execute(_ROWS)
        _settle(connection)
    for design in designs:
        server.execute("create database {} template {}", design, _TEMPLATE)
        with psycopg.connect(server.url(design)) as connection:
            connection.execute(DESIGNS[design].encode())


def _settle(connection: psycopg.Connection) -> None:
    """Vacuum until every page of the rows is known to be visible to all.

    A foreign key that locks a row looks at one page more where it is, and vacuum does not say so
    while anybody, such as a background process that has yet to end, may see an older state.
    """
    deadline = time.monotonic() + 60
    while True:
        connection.execute("vacuum analyze")
        if not connection.execute(_UNSETTLED).fetchall():
            return
        if time.monotonic() > deadline:
            raise RuntimeError("somebody keeps vacuum from settling the tables for a minute")


def instructions(server: Server, designs: Sequence[str]) -> Costs:
    """Count instructions in thousands, with a backend alone while the server is stopped."""
    lines = []
    for case in CASES:
        for numbers in case.parts(0):
            lines += [*case.script(numbers), f"select {MARK}(0)"]
    with stopped(server):
        counted = {design: between_marks(server, design, lines)[1::2] for design in designs}
    return {
        case.title: {design: counted[design][n] / case.count / 1000 for design in designs}
        for n, case in enumerate(CASES)
    }


def buffers_and_wal(server: Server, designs: Sequence[str]) -> tuple[Costs, Costs]:
    """Count buffers looked at and bytes of WAL written, on a running server of one's own."""
    buffers: Costs = {case.title: {} for case in CASES}
    wal: Costs = {case.title: {} for case in CASES}
    with psycopg.connect(server.url(server.maintenance), autocommit=True) as watcher:
        for design in designs:
            with psycopg.connect(server.url(design), autocommit=True) as connection:
                for case, seen in zip(CASES, _seen(connection, watcher), strict=True):
                    buffers[case.title][design] = seen[0] / case.count
                    wal[case.title][design] = seen[1] / case.count
    return buffers, wal


def _seen(
    connection: psycopg.Connection, watcher: psycopg.Connection
) -> Iterator[tuple[float, float]]:
    """Run the cases; yield what the server counted for each."""

    def state() -> tuple[int, int]:
        connection.execute("select pg_stat_force_next_flush()")
        row = watcher.execute(
            "select blks_hit + blks_read, pg_current_wal_insert_lsn() - '0/0' "
            "from pg_stat_database where datname = %s",
            (connection.info.dbname,),
        ).fetchone()
        assert row
        return int(row[0]), int(row[1])

    for case in CASES:
        warm, counted = case.parts(1)
        for line in case.script(warm):
            connection.execute(line.encode())
        before = state()
        for line in case.script(counted):
            connection.execute(line.encode())
        after = state()
        yield after[0] - before[0], after[1] - before[1]


def added(costs: Costs) -> dict[str, float]:
    """Return what auditdb adds to each case, as a share of the statement without it."""
    return {
        title: round((of["auditdb"] - of["unaudited"]) / of["unaudited"], 3)
        for title, of in costs.items()
    }


def reference() -> dict[str, dict[str, dict[str, float]]]:
    """Return the committed shares, by version of PostgreSQL, kind and case."""
    found: dict[str, dict[str, dict[str, float]]] = json.loads(REFERENCE.read_text("utf-8"))
    return found
