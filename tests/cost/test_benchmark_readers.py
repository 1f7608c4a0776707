"""The benchmarks of readers and exports measure every case, and what they measure is right."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

import auditdb
from benchmarks import cold, exports, filling, readers
from benchmarks.result import Result
from tests.conftest import CANDIDATES
from tests.support.helpers import value
from tests.support.servers import Server

pytestmark = [pytest.mark.once, pytest.mark.slow]

ROWS = 3000


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest, server: Server) -> Iterator[Server]:
    """A server of its own with a log of ten years, which may be stopped and started."""
    candidates = request.config.stash[CANDIDATES]
    candidate = next(one for one in candidates if one.version == server.version)
    with candidate.start() as running:
        filling.filled(running, ROWS // 2, lambda _: None)
        filling.filled(running, ROWS, lambda _: None)
        yield running
        running.execute("drop database {} with (force)", filling.DATABASE)


def found(results: list[Result]) -> dict[tuple[str, str], float]:
    """Return the values by case and metric."""
    values = {(one.case, one.metric): one.value for one in results}
    assert len(values) == len(results)
    return values


def test_the_log_is_spread_over_ten_years_and_few_accounts_have_most(filled: Server) -> None:
    with closing(filling.connect(filled.url(filling.DATABASE))) as connection:
        assert filling.count(filled.url(filling.DATABASE)) == ROWS
        assert value(connection, "select count(distinct id) from audit.log") >= ROWS
        months = value(
            connection,
            "select count(distinct tableoid) from audit.log where account_id <> ''",
        )
        assert months in (120, 121)
        shares = connection.execute(
            "select count(*) from audit.log where account_id <> '' group by account_id order by 1"
        ).fetchall()
        assert shares[-1][0] > 5 * shares[len(shares) // 2][0]
        width = value(connection, "select avg(pg_column_size(changes)) from audit.log")
        assert 150 < width < 400


def test_items_have_a_life_and_families(filled: Server) -> None:
    with closing(filling.connect(filled.url(filling.DATABASE))) as connection:
        item, account, customer = (
            connection.execute(
                "select item_id, account_id, changes -> 'customer_id' ->> 'new' from audit.events"
                " where action = 'license_created' order by occurred_at offset 50 limit 1"
            ).fetchone()
            or (None,) * 3
        )
        assert item is not None
        history = auditdb.item_history(connection, ("license", item), account_id=account)
        assert len(history) in range(7, 12)
        life = history[-1].occurred_at - history[0].occurred_at
        assert timedelta(days=200) < life < timedelta(days=500)
        under = connection.execute(
            "select distinct item_type from audit.tree_log('customer', %s, %s)",
            [customer, account],
        )
        assert {"customer", "order", "license"} <= {kind for (kind,) in under}


def test_readers(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "REPEATS", 1)
    messages: list[str] = []
    results = readers.measure(filled, full=False, progress=messages.append, sizes=[ROWS])
    values = found(results)
    cases = {case for case, _ in values}
    assert len(cases) == 3 * len(readers.QUESTIONS)
    assert all(one.postgres == filled.version for one in results)
    assert {one.system for one in results} == {"3,000 rows"}
    for case in cases:
        assert values[case, "planning"] > 0
        assert values[case, "execution"] > 0
        assert values[case, "buffers hit"] + values[case, "buffers read"] > 0
        assert values[case, "locks"] > 0
        assert any(case in message for message in messages)
    for name in ("newest page", "second page", "newest page in SQL"):
        assert values[f"{name}, large account", "rows"] == 50
    assert values["newest page under row security, large account", "rows"] == 50
    assert values["value at a time, small account", "rows"] == 1
    assert values["count by day, 30 days, large account", "rows"] <= 31
    assert (
        values["second page, large account", "locks"]
        < (values["newest page in SQL, large account", "locks"])
    )
    is_cold = ("newest page, middle account", "cold planning") in values
    assert is_cold == cold.can_restart(filled)
    if is_cold:
        # Nothing of the table was in the server's memory.
        assert values["newest page of an item, middle account", "cold buffers read"] > 0


def test_what_is_counted_is_what_postgresql_did(filled: Server) -> None:
    """A table of one page and its index."""
    with closing(filling.connect(filled.url(filling.DATABASE))) as connection:
        account = readers.Account("", "", None, "", "", "")
        question = readers.Question("", lambda _: readers._sql("select * from audit.option"))
        answer = readers.answered(connection, question, account)
        assert (answer.rows, answer.locks, answer.hit + answer.read) == (1, 2, 1)

        def twice(_: readers.Account) -> readers.Asking:
            rows = yield from readers._sql("select * from audit.option")
            rows += yield from readers._sql("select * from audit.option")
            return rows

        answer = readers.answered(connection, readers.Question("", twice), account)
        assert (answer.rows, answer.locks, answer.hit + answer.read) == (2, 2, 2)


def test_a_server_elsewhere_is_not_restarted() -> None:
    assert not cold.can_restart(Server(18, Path("/"), "db.example.com", 5432))


def test_growth_is_between_the_smallest_and_the_largest_log(
    filled: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "QUESTIONS", readers.QUESTIONS[1:2])
    results = readers.measure(filled, full=False, progress=lambda _: None, sizes=[ROWS - 1, ROWS])
    grown = {(one.case, one.metric): one for one in results if one.unit == "times"}
    assert len(grown) == 2 * 3
    pages = grown["second page, large account", "growth of buffers"]
    assert (pages.system, pages.value) == ("3,000 rows / 2,999 rows", 1.0)


def test_exports(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = [one for one in exports.FORMS if one in exports.VERIFIED or one == ("csv", "zstd")]
    monkeypatch.setattr(exports, "FORMS", forms)
    results = exports.measure(filled, full=False, progress=lambda _: None, sizes=[ROWS // 10])
    values = found(results)
    for name in ("csv", "csv and zstd", "jsonl", "parquet and zstd"):
        rows = values[f"export {name}", "rows"]
        assert abs(rows - ROWS // 10) < ROWS // 50
        assert values[f"export {name}", "rate"] > 0
        assert 10 < values[f"export {name}", "peak memory"] < 500
    assert values["export csv and zstd", "width"] < values["export csv", "width"]
    assert 400 < values["export csv", "width"] < values["export jsonl", "width"] < 1500
    assert values[exports.PSQL, "rows"] == values["export csv", "rows"]
    assert values[exports.PSQL, "width"] == pytest.approx(values["export csv", "width"], rel=0.1)
    for name in ("verify csv", "verify jsonl", "verify parquet and zstd", "import jsonl"):
        assert values[name, "rows"] == values["export csv", "rows"]
        assert values[name, "rate"] > 0


def test_a_command_that_fails_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="is no directory"):
        exports.run("verify", str(tmp_path / "nothing"))


def test_a_disk_without_room_is_said_before_it_is_full(filled: Server) -> None:
    if not Path(filled.host).is_dir():
        pytest.skip("of a server elsewhere nobody can tell")
    with pytest.raises(OSError, match="are free"):
        filling.filled(filled, 10**12, lambda _: None)
