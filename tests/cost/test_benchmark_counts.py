"""What users pay is counted: transactions of their own, bytes of a row, DDL beside many tables."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import counts, ddl, report, sizes
from benchmarks.actors import BY_CALL, REQUEST, naming
from benchmarks.counting import has_valgrind
from benchmarks.effort import TINY
from benchmarks.result import Result
from benchmarks.systems import AUDITDB, FLOOR, PEERS, UNAUDITED
from tests.conftest import CANDIDATES
from tests.support.servers import Server, installed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server on this machine for these tests alone: it is stopped while a backend counts."""
    versions = [candidate.version for candidate in request.config.stash[CANDIDATES]]
    found = [candidate for candidate in installed() if candidate.version in versions]
    if not found or not Path("/proc/self/schedstat").exists():
        pytest.skip("CPU time is read from /proc, of a server that runs here")
    with found[0].start() as server:
        yield server


def said(_: str) -> None:
    """Take what a benchmark tells the person who waits."""


def values(results: Sequence[Result], metric: str) -> dict[tuple[str, str], float]:
    """Return the values of a metric by case and system."""
    return {(r.case, r.system): r.value for r in results if r.metric == metric}


@pytest.mark.once
def test_instructions_of_transactions(local: Server) -> None:
    if not has_valgrind():
        pytest.skip("instructions are counted by valgrind")
    results = counts.measure(
        local, full=False, progress=said, systems=(UNAUDITED, AUDITDB), effort=TINY
    )
    added = values(results, "added")
    for name in (AUDITDB.name, BY_CALL.name):
        for kind in ("insert", "audited update", "delete"):
            together = added[f"{kind}, many in a transaction", name]
            alone = added[f"{kind}, a transaction each", name]
            assert 0 < together < alone, (name, kind)
    bulk = added["insert, 300 rows at once, for each", AUDITDB.name]
    assert 0 < bulk < added["insert, many in a transaction", AUDITDB.name]
    assert added["TPC-B, a transaction", AUDITDB.name] > 0
    whole = values(results, "instructions")
    for (case, system), value in added.items():
        assert whole[case, system] - whole[case, UNAUDITED.name] == pytest.approx(value)


def test_bytes_of_a_row(local: Server) -> None:
    results = sizes.measure(
        local, full=False, progress=said, systems=(UNAUDITED, FLOOR, AUDITDB), effort=TINY
    )
    log = values(results, "log")
    assert {system for _, system in log} == {FLOOR.name, AUDITDB.name}
    assert len(log) == 24
    assert min(log.values()) > 50
    plain = sum(
        v for (case, name), v in log.items() if name == AUDITDB.name and "context" not in case
    )
    context = sum(
        v for (case, name), v in log.items() if name == AUDITDB.name and "context" in case
    )
    assert context > plain


def test_ddl_beside_tracked_tables(local: Server) -> None:
    cpu = values(ddl.measure(local, full=False, progress=said, effort=TINY), "cpu")
    beside = ("1 tracked table", "3 tracked tables")
    for system in (UNAUDITED, AUDITDB):
        for title in ("create temp table", "alter table, add column"):
            assert all(cpu[f"{title}, {tables}", system.name] > 0 for tables in beside)
        assert cpu["a first insert into each of 3 partitions", system.name] > 0
    altered, compiled = (
        cpu[f"{title}, 3 tracked tables", AUDITDB.name]
        for title in ("alter table, add column", "compiling a tracked table after such an ALTER")
    )
    assert min(altered, compiled) > cpu["audit.refresh(), idle, 3 tracked tables", AUDITDB.name]


@pytest.mark.quick
def test_each_package_names_its_actor() -> None:
    assert naming(UNAUDITED) == naming(FLOOR, context=True) == []
    for system in (AUDITDB, BY_CALL, *PEERS):
        (plain,), (context,) = naming(system), naming(system, context=True)
        assert "42" in plain
        assert REQUEST["ip"] not in plain
        assert REQUEST["ip"] in context
    # A context for each transaction.
    assert naming(PEERS[2]) != naming(PEERS[2])
    assert re.match("select pg_catalog.set_config", naming(AUDITDB)[0])


def test_a_table_across_has_a_column_for_each_system() -> None:
    one = Result("counts", 18, "insert", "unaudited", "instructions", 700, "thousand")
    run = counts.with_added([one, replace(one, system="auditdb", value=860.5)])
    assert [(r.metric, r.value) for r in run] == [
        ("instructions", 700), ("instructions", 860.5), ("added", 160.5),
    ]  # fmt: skip
    assert report.table(run) == [
        "| case (thousand) | unaudited | auditdb |",
        "| --- | ---: | ---: |",
        "| insert | 700 | 160 |",
    ]
