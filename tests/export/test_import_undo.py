"""An import can be undone while nothing else refers to it, and one that was left is known."""

import json
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

import auditdb as package
from auditdb._export import importing, incoming
from tests.support.commands import add, auditdb
from tests.support.exports import RANGE, data, export, fill, last_event, manifest
from tests.support.helpers import value

STATE: tuple[LiteralString, ...] = (
    "select l::text from audit.log as l where action not like 'log\\_%' order by l::text",
    "select y::text from audit.layout as y order by y.id",
    "select proname from pg_proc where pronamespace = 'audit'::regnamespace order by 1",
    "select typname from pg_type where typname like '%layout\\_%' order by 1",
)


def state(url: str) -> list[Any]:
    """Return what an import changes."""
    with psycopg.connect(url) as conn:
        return [conn.execute(query).fetchall() for query in STATE]


def load(url: str, place: Path) -> int | None:
    """Import, which must work, and return the number of the import."""
    ran = auditdb("import", str(place), "--url", url)
    assert ran.returncode == 0, ran.stderr
    number = ran.stderr.strip().rpartition("--undo ")[2]
    return int(number) if number.isdigit() else None


def undo(url: str, number: int | None) -> str:
    ran = auditdb("import", "--undo", str(number), "--url", url)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def refused(url: str, number: int | None) -> str:
    ran = auditdb("import", "--undo", str(number), "--url", url)
    assert ran.returncode == 1
    return ran.stderr


def findings(url: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(url) as conn:
        return [(f.finding, f.severity, f.mend) for f in package.check(conn)]


@pytest.fixture
def place(database: str, tmp_path: Path) -> Path:
    """An export with records, rows of several months, and updates."""
    fill(database, 30, "10 days")
    with psycopg.connect(database) as here:
        here.execute("create table public.t (id integer primary key, x text)")
        here.execute("select audit.track('public.t', 't')")
        here.execute("insert into public.t select n, 'x' from generate_series(1, 9) as n")
    options = ("--format", "jsonl", "--per-partition")
    export(
        database, tmp_path / "out", *options, "--action", "license_updated", "--action", "t_created"
    )
    return tmp_path / "out"


def test_what_is_undone_is_as_if_it_had_never_been(
    engine_database: str, place: Path, tmp_path: Path
) -> None:
    add(engine_database, item_id="own")
    increments = ("--format", "jsonl", "--since-last", str(tmp_path / "state"))
    export(engine_database, tmp_path / "before", *increments)
    before = state(engine_database)
    number = load(engine_database, place)
    assert state(engine_database) != before
    assert last_event(engine_database)["changes"]["import"] == {"new": number}  # type: ignore[index]
    assert f"Import {number} is undone: 39 rows were taken out" in undo(engine_database, number)
    assert state(engine_database) == before
    event = last_event(engine_database)
    assert event["action"] == "log_import_undone"
    changes = event["changes"]
    assert isinstance(changes, dict)
    assert changes["rows"] == {"new": 39}
    assert changes["import"] == {"new": number}
    assert changes["sha256"] == {"new": manifest(place)["sha256"]}
    # Increments go on as if nothing had been; what came meanwhile is in the next.
    add(engine_database, item_id="later")
    export(engine_database, tmp_path / "after", *increments)
    rows = [json.loads(line) for line in data(tmp_path / "after")["log.jsonl"].splitlines()]
    assert sorted(row["action"] for row in rows) == [
        "license_updated",
        "log_exported",
        "log_import_undone",
        "log_imported",
    ]
    assert findings(engine_database) == []
    assert "there is no import" in refused(engine_database, number)
    # And it may come again.
    assert load(engine_database, place) != number


def test_an_import_is_undone_once_the_later_ones_are(
    database: str, engine_database: str, place: Path, tmp_path: Path
) -> None:
    before = state(engine_database)
    first = load(engine_database, place)
    add(database, occurred_at="2026-02-03Z", item_id="more")
    export(database, tmp_path / "more", *RANGE, "--format", "jsonl")
    second = load(engine_database, tmp_path / "more")
    assert f"import {second} came after import {first}" in refused(engine_database, first)
    assert "1 rows were taken out" in undo(engine_database, second)
    assert "39 rows were taken out" in undo(engine_database, first)
    assert state(engine_database) == before


def test_what_was_exported_since_stays(engine_database: str, place: Path, tmp_path: Path) -> None:
    number = load(engine_database, place)
    export(engine_database, tmp_path / "out2", *RANGE)
    before = state(engine_database)
    assert f"after import {number}" in refused(engine_database, number)
    assert state(engine_database) == before


def test_what_lies_in_a_partition_that_was_detached_since_stays(
    engine_database: str, place: Path
) -> None:
    number = load(engine_database, place)
    with psycopg.connect(engine_database) as there:
        partition = value(
            there, "select tableoid::regclass::text from audit.log where era < 0 limit 1"
        )
        there.execute(f"alter table audit.log detach partition {partition}".encode())
    before = state(engine_database)
    assert "only" in refused(engine_database, number)
    assert state(engine_database) == before


def test_a_row_of_an_import_leaves_by_being_undone_alone(engine_database: str, place: Path) -> None:
    load(engine_database, place)
    add(engine_database, item_id="own")
    with psycopg.connect(engine_database, autocommit=True) as there:
        for statement in (
            "delete from audit.log where era < 0",
            "delete from audit.log where era > 0",
            "update audit.log set era = -2",
            "truncate audit.log",
        ):
            with pytest.raises(psycopg.Error) as caught:
                there.execute(statement.encode())
            assert caught.value.sqlstate == "UA004"


def test_an_import_of_nothing_new_needs_no_undoing(engine_database: str, place: Path) -> None:
    number = load(engine_database, place)
    assert number is not None
    assert load(engine_database, place) is None
    assert f"there is no import {number + 1}" in refused(engine_database, number + 1)
    assert "39 rows were taken out" in undo(engine_database, number)


def test_a_summary_of_what_is_undone_is_made_anew(
    engine_database: str, place: Path, tmp_path: Path
) -> None:
    number = load(engine_database, place)
    assert auditdb("maintain", "--url", engine_database).returncode == 0
    with psycopg.connect(engine_database) as there:
        assert value(there, "select count(*) > 0 from audit.presence") is True
    undo(engine_database, number)
    assert auditdb("maintain", "--url", engine_database).returncode == 0
    with psycopg.connect(engine_database) as there:
        assert value(there, "select count(*) from audit.presence") == 0
    assert findings(engine_database) == []


def broken_off(
    url: str, place: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Import, and have the second file fail."""
    original = importing._load
    loaded: list[int] = []

    def fail(*args: Any) -> int:
        if loaded:
            raise error
        loaded.append(1)
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(importing, "_load", fail)
        ran = auditdb("import", str(place), "--url", url)
    assert ran.returncode in (1, 130)
    assert "again" in ran.stderr
    assert "undo" in ran.stderr


BREAKS = [KeyboardInterrupt(), psycopg.errors.DiskFull(), psycopg.OperationalError("gone")]


@pytest.mark.parametrize("error", BREAKS, ids=["interrupted", "disk full", "server gone"])
def test_what_was_broken_off_is_told_and_goes_on_or_is_undone(
    engine_database: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    before = state(engine_database)
    for finish in (False, True):
        broken_off(engine_database, place, monkeypatch, error)
        ((finding, severity, mend),) = findings(engine_database)
        assert (finding, severity) == ("import_open", "error")
        assert auditdb("export", "-", "--url", engine_database).returncode == 1
        if finish:
            number = load(engine_database, place)
            assert "39 rows were taken out" in undo(engine_database, number)
        else:
            with psycopg.connect(engine_database) as there:
                there.execute(mend.encode())
        assert state(engine_database) == before
        assert findings(engine_database) == []


def test_another_import_does_not_hide_what_was_broken_off(
    database: str,
    engine_database: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken_off(engine_database, place, monkeypatch, KeyboardInterrupt())
    export(database, tmp_path / "other", *RANGE, "--format", "jsonl")
    before = state(engine_database)
    ran = auditdb("import", str(tmp_path / "other"), "--url", engine_database)
    assert ran.returncode == 1
    assert "of another export was broken off" in ran.stderr
    assert f"its sha256 is {manifest(place)['sha256']}" in ran.stderr
    assert "--undo 2" in ran.stderr
    assert state(engine_database) == before
    undo(engine_database, 2)
    load(engine_database, tmp_path / "other")


def test_an_import_under_way_is_told_and_not_undone(
    engine_database: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = importing._load
    seen = []

    def look(*args: Any) -> int:
        seen.append(findings(engine_database))
        with psycopg.connect(engine_database) as other, pytest.raises(psycopg.Error) as caught:
            other.execute("select audit.undo_import(2)")
        seen.append([("", "", str(caught.value.diag.message_primary))])
        assert "under way" in refused(engine_database, 2)
        return original(*args)

    monkeypatch.setattr(importing, "_load", look)
    load(engine_database, place)
    assert [(code, severity) for code, severity, _ in seen[0]] == [("import_open", "warning")]
    assert "under way" in seen[1][0][2]


def test_whoever_gives_neither_or_both_is_told(engine_database: str, place: Path) -> None:
    for arguments in ((), (str(place), "--undo", "2")):
        ran = auditdb("import", *arguments, "--url", engine_database)
        assert ran.returncode == 2


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_a_key_that_is_too_long_for_an_index_is_named_before_anything_is_written(
    engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, size: int
) -> None:
    import hashlib

    from tests.support import damage

    monkeypatch.setattr(incoming, "BATCH", size)
    long = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(100))
    rows = [damage.row(n) for n in range(8)]
    rows[5]["item_id"] = long
    place = damage.written(tmp_path / "out", form, rows)
    before = state(engine_database)
    ran = auditdb("import", str(place), "--url", engine_database)
    assert ran.returncode == 1
    assert f"log.{form}: row 6: index row" in ran.stderr
    assert "Nothing was imported." in ran.stderr
    assert state(engine_database) == before
    assert findings(engine_database) == []
    # What compresses well fits.
    rows[5]["item_id"] = "x" * 5000
    assert load(engine_database, damage.written(tmp_path / "fits", form, rows)) is not None


@pytest.mark.parametrize(
    "about",
    [
        {"actions": [{"action": "a" * 3000 + "\u2603" * 3000, "label": "", "description": ""}]},
        {"filters": {"account_id": None}},
    ],
)
def test_what_the_manifest_says_is_tried_before_anything_is_written(
    engine_database: str, tmp_path: Path, about: dict[str, Any]
) -> None:
    import secrets

    from tests.support import damage

    if "actions" in about:
        about["actions"][0]["action"] = secrets.token_hex(4000)
        said = "manifest.json: its actions or filters cannot be kept"
    else:
        about["filters"]["account_id"] = secrets.token_hex(4000)
        said = "the account is longer than the 2600 bytes"
    rows = [] if "filters" in about else [damage.row(n) for n in range(3)]
    place = damage.written(tmp_path / "out", "jsonl", rows, **about)
    before = state(engine_database)
    ran = auditdb("import", str(place), "--url", engine_database)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert state(engine_database) == before
    assert findings(engine_database) == []
