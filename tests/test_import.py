"""Importing an export: the same rows, once, and exports of what was imported are the same bytes."""

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.commands import add, auditdb
from tests.conftest import Connect, CreateRole
from tests.exports import RANGE, add_hostile, data, export, fill, keys, last_event, manifest
from tests.helpers import value
from tests.servers import Server

IMPORTABLE = [("jsonl", "none"), ("jsonl", "zstd"), ("jsonl", "gzip"), ("parquet", "zstd")]


def load(url: str, place: Path) -> str:
    ran = auditdb("import", str(place), "--url", url)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


@pytest.mark.parametrize(("form", "compress"), IMPORTABLE)
def test_there_and_back_every_format_has_the_same_bytes(
    database: str, engine_database: str, tmp_path: Path, form: str, compress: str
) -> None:
    add_hostile(database)
    for at in ("0044-03-15 12:00:00.5+00 BC", "2019-06-01Z"):
        add(database, occurred_at=at)
    # As in a log that was restored from a server which was far ahead.
    add(database, tx=9 * 10**17, item_id="ahead")
    with psycopg.connect(database) as connection:
        connection.execute("select audit.begin_era()")
        count = "select count(*) from audit.log where occurred_at < '2026-09-01Z'"
        total = value(connection, count)
    options = ("--until", "2026-09-01", "--format", form, "--compress", compress)
    export(database, tmp_path / "out", *options)
    assert manifest(tmp_path / "out")["rows"] == total
    assert f"{total} were new" in load(engine_database, tmp_path / "out")
    for again in ("csv", "jsonl", "parquet"):
        wanted = ("--until", "2026-09-01", "--format", again)
        export(database, tmp_path / f"here-{again}", *wanted)
        export(engine_database, tmp_path / f"there-{again}", *wanted)
        assert data(tmp_path / f"here-{again}") == data(tmp_path / f"there-{again}")


def test_importing_twice_adds_nothing(
    database: str, engine_database: str, connect: Connect, tmp_path: Path
) -> None:
    fill(database, 100)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    assert "of which 100 were new" in load(engine_database, tmp_path / "out")
    with psycopg.connect(engine_database) as there:
        eras = value(there, "select count(*) from audit.era")
        assert "of which 0 were new" in load(engine_database, tmp_path / "out")
        assert value(there, "select count(*) from audit.era") == eras
        found = "select count(*) from audit.log where action = 'license_updated'"
        assert value(there, found) == 100
    event = last_event(engine_database)
    assert event["action"] == "log_imported"
    assert isinstance(event["changes"], dict)
    assert event["changes"]["new_rows"] == {"new": 0}
    assert event["changes"]["sha256"] == {"new": manifest(tmp_path / "out")["sha256"]}


def test_later_rows_have_greater_ids(database: str, engine_database: str, tmp_path: Path) -> None:
    add(database, id=5_000_000)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    load(engine_database, tmp_path / "out")
    add(engine_database, item_id="later")
    with psycopg.connect(engine_database) as there:
        newest = value(there, "select id from audit.log where item_id = 'later'")
    assert newest > 5_000_000


def test_increments_can_be_imported_one_after_another(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    for number in range(3):
        fill(database, 20 + number)
        options = ("--format", "jsonl", "--since-last", str(tmp_path / "state"))
        export(database, tmp_path / str(number), *options)
        load(engine_database, tmp_path / str(number))
    with psycopg.connect(database) as here, psycopg.connect(engine_database) as there:
        count = "select count(*) from audit.log where action = 'license_updated'"
        assert value(here, count) == value(there, count) == 63


def test_an_import_ends_increments_that_were_begun_before(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    state = ("--format", "jsonl", "--since-last", str(tmp_path / "state"))
    export(engine_database, tmp_path / "1", *state)
    fill(database, 20)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    load(engine_database, tmp_path / "out")
    refused = auditdb("export", str(tmp_path / "2"), "--url", engine_database, *state)
    assert refused.returncode == 1
    assert "imported" in refused.stderr
    fresh = ("--format", "jsonl", "--since-last", str(tmp_path / "new"))
    export(engine_database, tmp_path / "3", *fresh, "--action", "license_updated")
    assert len(keys(tmp_path / "3")) == 20
    export(engine_database, tmp_path / "4", *fresh, "--action", "license_updated")
    assert keys(tmp_path / "4") == []


def test_an_import_that_broke_off_stops_exports_until_it_is_run_again(
    database: str, engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb import importing

    fill(database, 20, "15 days")
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    original = importing._load

    def crash(*args: object) -> int:
        original(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "_load", crash)
    assert auditdb("import", str(tmp_path / "out"), "--url", engine_database).returncode == 130
    monkeypatch.undo()
    refused = auditdb("export", "-", "--url", engine_database)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "import into this log is not complete" in refused.stderr
    assert "of which 0 were new" in load(engine_database, tmp_path / "out")
    export(engine_database, tmp_path / "after", *RANGE, "--format", "jsonl")
    assert data(tmp_path / "after") == data(tmp_path / "out")


def test_rows_with_other_content_are_an_error(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    add(database, id=77, item_label="one")
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    add(engine_database, id=77, item_label="another")
    ran = auditdb("import", str(tmp_path / "out"), "--url", engine_database)
    assert ran.returncode == 1
    assert "Row 77" in ran.stderr
    assert "other content" in ran.stderr


def test_what_does_not_verify_is_not_imported(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    fill(database, 20)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    path = tmp_path / "out/log.jsonl"
    path.write_bytes(path.read_bytes().replace(b"platform_user", b"platform_liar"))
    ran = auditdb("import", str(tmp_path / "out"), "--url", engine_database)
    assert ran.returncode == 1
    assert "not as it was exported" in ran.stderr
    with psycopg.connect(engine_database) as there:
        found = "select count(*) from audit.log where action = 'license_updated'"
        assert value(there, found) == 0


def test_csv_is_not_imported(database: str, tmp_path: Path) -> None:
    export(database, tmp_path / "out", *RANGE)
    ran = auditdb("import", str(tmp_path / "out"), "--url", database)
    assert ran.returncode == 1
    assert "--format jsonl" in ran.stderr


def test_only_the_owner_imports(
    server: Server,
    database: str,
    engine_database: str,
    create_role: CreateRole,
    tmp_path: Path,
) -> None:
    fill(database, 20)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    role = create_role()
    with psycopg.connect(engine_database) as there:
        there.execute(sql.SQL("grant all on audit.log to {}").format(sql.Identifier(role)))
        name = there.info.dbname
    ran = auditdb("import", str(tmp_path / "out"), "--url", server.url(name, role))
    assert ran.returncode == 1
    assert "only the owner" in ran.stderr


def test_an_import_needs_a_log(empty_database: str, database: str, tmp_path: Path) -> None:
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    ran = auditdb("import", str(tmp_path / "out"), "--url", empty_database)
    assert ran.returncode == 1
    assert "auditdb upgrade" in ran.stderr


def test_lines_of_parquet_are_those_of_json_lines(database: str, tmp_path: Path) -> None:
    from tests.exports import rows

    add_hostile(database, size=10)
    for form in ("jsonl", "parquet"):
        export(database, tmp_path / form, *RANGE, "--format", form)
    lines = [
        [json.loads(row.line) for row in rows(tmp_path / form)] for form in ("jsonl", "parquet")
    ]
    assert lines[0] == lines[1]
