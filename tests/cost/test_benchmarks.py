"""The benchmarks run, if only for a moment; their reports say what was measured."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from benchmarks import __main__ as command
from benchmarks import bulk, databases, load, orm, plots, report, tpcb, writers
from benchmarks.cases import CASES
from benchmarks.effort import TINY, effort
from benchmarks.result import Result
from benchmarks.systems import AUDITDB, FLOOR, OURS, UNAUDITED, System
from benchmarks.turns import Turns, rotated
from tests.conftest import CANDIDATES
from tests.support.servers import Server, installed

pytestmark = pytest.mark.slow

NAMES = [system.name for system in OURS]


@pytest.fixture(scope="module")
def local(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server on this machine, whose processes can be watched, for these tests alone."""
    versions = [candidate.version for candidate in request.config.stash[CANDIDATES]]
    found = [candidate for candidate in installed() if candidate.version in versions]
    if not found or not Path("/proc/self/schedstat").exists():
        pytest.skip("CPU time is read from /proc, of a server that runs here")
    with found[0].start() as server:
        yield server


def said(_: str) -> None:
    """Take what a benchmark tells the person who waits."""


def systems(results: Sequence[Result], case: str, metric: str) -> dict[str, float]:
    """Return the value of each system."""
    return {r.system: r.value for r in results if (r.case, r.metric) == (case, metric)}


def test_one_row_at_a_time(local: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)  # counting stops the server
    results = writers.measure(local, full=False, progress=said, systems=OURS, effort=TINY)
    for case in CASES:
        cpu, wal = systems(results, case.title, "cpu"), systems(results, case.title, "wal")
        assert list(cpu) == NAMES
        assert min(cpu.values()) > 0
        assert wal[FLOOR.name] > wal[UNAUDITED.name], case.title
    many = load.with_clients(writers.MIXED, 2)
    assert list(systems(results, many, "rate")) == NAMES
    assert min(systems(results, many, "cpu").values()) > 0


def test_many_rows(local: Server) -> None:
    results = bulk.measure(local, full=False, progress=said, systems=OURS, effort=TINY)
    for title in ("insert", "update", "delete"):
        log = systems(results, f"{title}, 100 rows", "log")
        assert list(log) == NAMES
        assert log[UNAUDITED.name] == 0
        assert log[AUDITDB.name] > 100


def test_objects(local: Server) -> None:
    few = replace(TINY, objects=1)
    results = orm.measure(local, full=False, progress=said, systems=OURS, effort=few)
    assert systems(results, "insert", "statements") == dict.fromkeys(NAMES, 1)
    assert list(systems(results, "delete", "client cpu")) == NAMES


def test_the_proof_of_tpcb(local: Server) -> None:
    one = [AUDITDB]
    results = tpcb.measure(local, full=False, progress=said, systems=one, effort=TINY)
    done = systems(results, "proof", "transactions in the log")[AUDITDB.name]
    assert done > 0
    url = local.url("pgbench auditdb")
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("alter table pgbench_tellers disable trigger user")
        connection.execute("update pgbench_tellers set tbalance = tbalance + 1 where tid = 1")
    with pytest.raises(tpcb.MismatchError, match=r"1 of pgbench_tellers.tbalance .* sums"):
        tpcb.prove(url, int(done))


def test_a_system_that_cannot_be_set_up_is_left_out(local: Server) -> None:
    heard: list[str] = []
    broken = System("broken", lambda _url, _workload: "it is not here")
    workload = databases.licenses(local)
    assert databases.install(local, workload, [broken, UNAUDITED], heard.append) == [UNAUDITED]
    assert heard[0] == "broken is left out: it is not here"


def test_a_statement_that_takes_too_long_is_stopped() -> None:
    limits = bulk.Limits(patience=10)
    assert limits.limit("update") == 0
    limits.done("insert", FLOOR.name, 0.1)
    assert limits.limit("insert") == 5
    limits.done("update", AUDITDB.name, 99)
    limits.done("update", FLOOR.name, 3)
    assert limits.limit("update") == 30


@pytest.mark.quick
def test_scripts_name_the_actor_in_each_transaction() -> None:
    text = load.script(AUDITDB, CASES)
    assert text.count("\\startpipeline\nbegin;\nselect audit.set_actor(") == len(CASES)
    assert text.count(";\ncommit;\n\\endpipeline\n") == len(CASES)


def test_the_turn_that_was_disturbed_least_counts() -> None:
    turns = Turns("writers", 18)
    for value in (12, 10, 90):
        turns.add("insert", "auditdb", "cpu", value, "µs")
        turns.add("insert", "auditdb", "rate", value, "statements/s")
        turns.add("insert", "auditdb", "wal", value, "bytes")
    assert turns.results() == [
        Result("writers", 18, "insert", "auditdb", "cpu", 10, "µs"),
        Result("writers", 18, "insert", "auditdb", "rate", 90, "statements/s"),
        Result("writers", 18, "insert", "auditdb", "wal", 12, "bytes"),
    ]


def test_another_system_comes_first_in_each_turn() -> None:
    assert [rotated("abc", turn) for turn in range(4)] == [[*"abc"], [*"bca"], [*"cab"], [*"abc"]]
    assert rotated([], 3) == []


def one(system: str, value: float, metric: str = "cpu", **others: object) -> Result:
    """Return a number of a made-up run."""
    found = Result("bulk", 18, "update, 1,000 rows", system, metric, value, "µs")
    return replace(found, **others)  # type: ignore[arg-type]


RUN = [
    one("unaudited", 4),
    one("floor", 14),
    one("auditdb", 16.5),
    one("peer", 1234.5),
    one("peer", 9, "stopped", unit="s"),
    one("auditdb", 560, "log", unit="bytes"),
]


@pytest.mark.quick
def test_a_table_compares_with_the_floor() -> None:
    assert report.table(RUN) == [
        "| case | system | cpu (µs) | log (bytes) |",
        "| --- | --- | ---: | ---: |",
        "| update, 1,000 rows | unaudited | 4.00 |  |",
        "| update, 1,000 rows | floor | 14.0 (1.00) |  |",
        "| update, 1,000 rows | auditdb | 16.5 (1.25) | 560 |",
        "| update, 1,000 rows | peer | ≥ 1,234 (123.05) |  |",
    ]
    assert report.ratio(5, 4, 4) is None


def test_readers_have_a_table_for_what_is_cold_and_for_growth() -> None:
    reader = {"benchmark": "readers", "case": "newest page, large account", "unit": "ms"}
    small = reader | {"case": "newest page, small account"}
    run = [
        one("1 million rows", 0.5, "planning", **reader),
        one("1 million rows", 31, "locks", **reader | {"unit": "locks"}),
        one("1 million rows", 12.5, "cold planning", **reader),
        one("10 million rows / 1 million rows", 1.5, "growth of planning", **reader),
        one("1 million rows", 0.75, "planning", **small),
    ]
    assert report.parts(run) == [[*run[:2], run[4]], [run[2]], [run[3]]]
    page = report.renewed("<!-- readers 18 -->\n<!-- end -->\n", run)
    assert page.splitlines()[2:-2] == [
        "| case | log | planning (ms) | locks (locks) |",
        "| --- | --- | ---: | ---: |",
        "| newest page | 1 million rows | 0.50 | 31 |",
    ]
    text = report.markdown({}, run)
    assert "| newest page, small account | 1 million rows | 0.75 |  |" in text
    assert "| newest page, large account | 1 million rows | 12.5 |" in text


def test_new_numbers_replace_those_of_the_same_benchmark_and_server(tmp_path: Path) -> None:
    older = [one("auditdb", 99), one("auditdb", 7, postgres=15), one("x", 1, benchmark="writers")]
    path = tmp_path / "results.json"
    assert report.read(path) == ({}, [])
    report.dump(path, {"CPU": "a fast one"}, report.merged(older, RUN))
    environment, results = report.read(path)
    assert results == [older[2], *RUN, older[1]]
    text = report.markdown(environment, results)
    assert "| CPU | a fast one |" in text
    assert "## Writers, many rows in a statement, PostgreSQL 15" in text


def test_the_tables_of_a_page_are_renewed() -> None:
    page = (
        "# Title\n\n<!-- bulk 18 -->\nold\n<!-- end -->\n\n<!-- tpcb 18 -->\nkept\n<!-- end -->\n"
    )
    table = "\n".join(report.table(RUN))
    assert report.renewed(page, RUN) == page.replace("old", f"\n{table}\n")
    with pytest.raises(ValueError, match="no <!-- end -->"):
        report.renewed("<!-- bulk 18 -->\n", RUN)


def test_the_page_has_a_place_for_every_table_and_every_picture() -> None:
    page = command.PAGE.read_text("utf-8")
    for benchmark in report.TITLES:
        if benchmark in plots.DRAWN:
            assert f"(../benchmarks/results/{benchmark}-18.svg)" in page
        for version in (18, 15):
            assert f"<!-- {benchmark} {version} -->" in page


@pytest.mark.quick
def test_the_command_knows_its_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.parser().parse_args(["--only", "bulk,tpcb"]).only == ["bulk", "tpcb"]
    with pytest.raises(SystemExit):
        command.main(["--only", "nothing"])
    assert "there is no benchmark nothing: choose from writers, bulk" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="There is no PostgreSQL 9 here"):
        command.main(["--pg", "9"])


def test_more_is_measured_when_asked_for() -> None:
    brief, newest, full = effort(15, full=False), effort(18, full=False), effort(15, full=True)
    assert brief.rounds < newest.rounds < full.rounds
    assert list(newest.bulk) == list(full.bulk) == [1, 10, 1_000, 100_000]
    assert all(e.bulk.keys() == e.bulk_rounds.keys() for e in (brief, newest, full, TINY))
