"""Rows of an import lie in partitions of their own months, however old they are or far ahead."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import auditdb as package
from auditdb._export.import_months import Months
from auditdb._query import page_cursor
from tests.conftest import _new_database
from tests.support import damage
from tests.support.commands import add, auditdb
from tests.support.exports import data, export, fill
from tests.support.helpers import value
from tests.support.servers import Server

LIES = (
    "select tableoid::regclass::text as name, count(*)"
    " from audit.log where action = 'license_updated' group by 1"
)


def load(url: str, place: Path) -> None:
    ran = auditdb("import", str(place), "--url", url)
    assert ran.returncode == 0, ran.stderr


def partitions(url: str) -> dict[str, int]:
    with psycopg.connect(url) as conn:
        return {name.removeprefix("audit."): rows for name, rows in conn.execute(LIES)}


def written(place: Path, form: str, times: list[str]) -> Path:
    rows = [
        damage.row(n, occurred_at=page_cursor.from_iso(f"{at}.000000Z"))
        for n, at in enumerate(times)
    ]
    return damage.written(place, form, rows)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_history_older_than_the_log_has_months_of_its_own(
    database: str, engine_database: str, tmp_path: Path, form: str
) -> None:
    fill(database, 600, "5 days")
    with psycopg.connect(database) as here:
        here.execute(
            "insert into audit.log (occurred_at, account_id, action, item_type, item_id,"
            " actor_type, actor_id, db_role)"
            " select timestamptz '2019-03-01Z' + n * interval '8 days', '1', 'license_updated',"
            " 'license', n::text, 'a', 'b', 'c' from generate_series(1, 300) as n"
        )
    only = ("--action", "license_updated", "--until", "2026-11-01")
    export(database, tmp_path / "out", "--format", form, *only)
    load(engine_database, tmp_path / "out")
    lies = partitions(engine_database)
    assert "log_past" not in lies
    assert {name for name in lies if name < "log_2021_08"} == {
        f"log_{year}_{month:02}"
        for year in (2019, 2020, 2021)
        for month in range(1, 13)
        if "2019_03" <= f"{year}_{month:02}" < "2021_08"
    } | ({"log_2021_07"} & set(lies))
    # Exports are the same bytes, and have a file for each month.
    export(engine_database, tmp_path / "again", "--format", form, *only)
    assert data(tmp_path / "again") == data(tmp_path / "out")
    export(engine_database, tmp_path / "months", "--per-partition", *only)
    assert set(data(tmp_path / "months")) == {f"{name}.csv" for name in lies}
    with psycopg.connect(engine_database) as there:
        assert package.check(there) == ()
    # And they are put to rest, each by itself.
    assert auditdb("maintain", "--url", engine_database).returncode == 0
    with psycopg.connect(engine_database) as there:
        closed = "select partition from audit.closed_partition"
        assert {"log_2019_03", "log_2020_01"} <= {name for (name,) in there.execute(closed)}
        there.execute("alter table audit.log detach partition audit.log_2019_03")
        there.execute("drop table audit.log_2019_03")
    assert "log_2019_03" not in partitions(engine_database)
    assert auditdb("maintain", "--url", engine_database).returncode == 0


def test_times_far_apart_take_few_partitions_and_maintenance_goes_on(
    engine_database: str, tmp_path: Path
) -> None:
    times = [
        *("1970-01-01T00:00:00", "2019-05-31T23:59:59", "2019-06-01T00:00:00"),
        *("2026-10-05T00:00:00", "2031-07-01T00:00:00", "12025-02-03T00:00:00"),
        "294239-12-31T00:00:00",
    ]
    with psycopg.connect(engine_database) as there:
        before = value(there, "select count(*) from audit.partition_list()")
    load(engine_database, written(tmp_path / "out", "jsonl", times))
    assert partitions(engine_database) == dict.fromkeys(
        [
            *("log_1970_01", "log_2019_05", "log_2019_06", "log_2026_10", "log_2031_07"),
            *("log_12025_02", "log_294239_12"),
        ],
        1,
    )
    with psycopg.connect(engine_database, autocommit=True) as there:
        assert package.check(there) == ()
        there.execute("begin")
        for _ in range(200):
            if value(there, "select audit.maintain()") == 0:
                break
        there.execute("commit")
        assert value(there, "select count(*) from audit.partition_list()") < before + 40
        assert package.check(there) == ()
        # What was between is given away: no month comes for each of the two thousand years.
        there.execute("alter table audit.log detach partition audit.log_1970_02_to_2019_04")
        there.execute("drop table audit.log_1970_02_to_2019_04")
        there.execute("select audit.maintain()")
        assert value(there, "select count(*) from audit.partition_list()") < before + 40
    add(engine_database, occurred_at="1999-01-01Z")


def test_years_before_christ_have_names_of_their_own(engine_database: str, tmp_path: Path) -> None:
    early = [
        damage.row(n, occurred_at=at)
        for n, at in enumerate(
            (
                page_cursor.from_iso("4713-01-01T00:00:00.000000Z BC"),
                page_cursor.from_iso("0044-03-15T00:00:00.000000Z BC"),
                page_cursor.from_iso("0044-03-15T00:00:00.000000Z"),
            )
        )
    ]
    load(engine_database, damage.written(tmp_path / "out", "parquet", early))
    assert set(partitions(engine_database)) == {"log_4713_01_bc", "log_0044_03_bc", "log_0044_03"}
    assert auditdb("maintain", "--url", engine_database).returncode == 0
    with psycopg.connect(engine_database) as there:
        assert value(
            there, "select 'log_past' = any (array_agg(partition)) from audit.closed_partition"
        )
    for options in ((), ("--account", "1"), ("--account", "1", "--item", "license:42")):
        ran = auditdb("log", "--url", engine_database, "--json", "--all", *options)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.count("license_updated") == 3


def test_rows_that_lie_together_already_are_moved_to_their_months(
    engine_database: str, tmp_path: Path
) -> None:
    for at in ("2001-02-03Z", "2001-02-04Z", "2015-06-07Z"):
        add(engine_database, occurred_at=at)
    everything = "select array_agg(l::text order by l::text) from audit.log as l"
    with psycopg.connect(engine_database) as there:
        assert partitions(engine_database) == {"log_past": 3}
        before = value(there, everything)
    load(engine_database, written(tmp_path / "out", "jsonl", ["2010-01-01T00:00:00"]))
    assert partitions(engine_database) == {"log_2001_02": 2, "log_2010_01": 1, "log_2015_06": 1}
    with psycopg.connect(engine_database) as there:
        there.execute("select audit.undo_import(2)")
    with psycopg.connect(engine_database) as there:
        assert value(there, f"{everything} where not starts_with(action, 'log_')") == before
        assert package.check(there) == ()


def test_a_partition_that_was_detached_is_not_attached_unasked(
    engine_database: str, tmp_path: Path
) -> None:
    place = written(tmp_path / "out", "jsonl", ["2019-05-05T00:00:00"])
    load(engine_database, place)
    with psycopg.connect(engine_database) as there:
        there.execute("alter table audit.log detach partition audit.log_2019_05")
    ran = auditdb("import", str(place), "--url", engine_database)
    assert ran.returncode == 1
    assert "audit.log_2019_05 is no partition of the log" in ran.stderr
    with psycopg.connect(engine_database) as there:
        assert package.check(there) == ()
        there.execute("alter table audit.log_2019_05 rename to kept")
    load(engine_database, place)
    assert partitions(engine_database) == {"log_2019_05": 1}


def test_of_more_months_than_a_log_can_have_the_oldest_lie_together(
    engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditdb._export.import_months.MOST", 2)
    times = [f"20{year:02}-01-01T00:00:00" for year in range(1, 6)]
    load(engine_database, written(tmp_path / "out", "jsonl", times))
    assert partitions(engine_database) == {"log_past": 3, "log_2004_01": 1, "log_2005_01": 1}


def test_who_is_in_the_way_is_told_before_anything_is_written(
    engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditdb._upkeep.maintenance.PATIENCE", 0.0)
    monkeypatch.setattr(
        "auditdb._upkeep.maintenance.add_intervals.__kwdefaults__", {"patience": 0.0}
    )
    place = written(tmp_path / "out", "jsonl", ["2019-05-05T00:00:00"])
    with psycopg.connect(engine_database) as reader:
        reader.execute("select from audit.log limit 1")
        ran = auditdb("import", str(place), "--url", engine_database)
        assert ran.returncode == 1
        assert "in use" in ran.stderr
    with psycopg.connect(engine_database) as there:
        assert value(there, "select count(*) from audit.era") == 1
    load(engine_database, place)


_MOMENTS = st.integers(
    page_cursor.from_iso("4713-01-01T00:00:00.000000Z BC"),
    page_cursor.from_iso("294240-01-01T00:00:00.000000Z") - 1,
) | st.integers(0, 2_000_000_000_000_000)


@given(st.lists(_MOMENTS, min_size=1, max_size=6))
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_wherever_rows_are_each_lies_in_an_interval_and_no_time_has_two_partitions_or_none(
    server: Server, engine_template: str, moments: list[int]
) -> None:
    with (
        _new_database(server, engine_template) as name,
        psycopg.connect(server.url(name), autocommit=True) as conn,
    ):
        months = Months(conn)
        months.add(sorted(moments))
        months.make()
        for moment in moments:
            found: Any = conn.execute(
                "select l.lower_bound >= date_trunc('month', m.m, 'UTC'),"
                " l.upper_bound <= audit.interval_after(m.m)"
                " from (select %s::timestamptz as m) as m join audit.partition_list() as l"
                " on l.lower_bound <= m.m and l.upper_bound > m.m",
                [page_cursor.to_text(moment)],
            ).fetchall()
            assert found == [(True, True)]
        gaps = (
            "select count(*) from (select upper_bound,"
            " lead(lower_bound) over (order by lower_bound) as next from audit.partition_list()"
            ") as p where p.upper_bound <> p.next"
        )
        assert value(conn, gaps) == 0
        assert (
            value(
                conn,
                "select min(lower_bound) = '-infinity' and max(upper_bound) = 'infinity'"
                " from audit.partition_list()",
            )
            is True
        )
        assert package.check(conn) == ()
