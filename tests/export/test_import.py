"""Importing an export: the same rows, once, and exports of what was imported are the same bytes."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect, CreateRole, _new_database
from tests.support.commands import add, auditdb, environment
from tests.support.exports import RANGE, add_hostile, data, export, fill, keys, last_event, manifest
from tests.support.helpers import value
from tests.support.servers import Server

IMPORTABLE = [("jsonl", "none"), ("jsonl", "zstd"), ("jsonl", "gzip"), ("parquet", "zstd")]


def load(url: str, place: Path) -> str:
    ran = auditdb("import", str(place), "--url", url)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def test_there_and_back_every_format_has_the_same_bytes(
    server: Server, database: str, engine_template: str, tmp_path: Path
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

    def exported(url: str, name: str, *options: str) -> dict[str, bytes]:
        export(url, tmp_path / name, "--until", "2026-09-01", *options)
        assert manifest(tmp_path / name)["rows"] == total
        return data(tmp_path / name)

    plain = {
        form: exported(database, form, "--format", form) for form in ("csv", "jsonl", "parquet")
    }
    for form, compress in IMPORTABLE:
        packed = f"{form}-{compress}"
        options = ("--format", form, "--compress", compress)
        whole = exported(database, packed, *options)
        with _new_database(server, engine_template) as name:
            there = server.url(name)
            assert f"{total} were new" in load(there, tmp_path / packed)
            assert exported(there, f"{packed}-again", *options) == whole
            for other in plain:
                again = exported(there, f"{packed}-as-{other}", "--format", other)
                assert again == plain[other], (packed, other)


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
    from auditdb._export import importing

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
    add(database, id=77, tx=7, item_label="one")
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    add(engine_database, id=77, tx=7, item_label="another")
    ran = auditdb("import", str(tmp_path / "out"), "--url", engine_database)
    assert ran.returncode == 1
    assert "Row 77" in ran.stderr
    assert "other content" in ran.stderr
    # What is refused for good holds nobody up.
    export(engine_database, tmp_path / "after", "--since-last", str(tmp_path / "state"))


def test_a_refusal_after_a_file_that_came_in_takes_it_back(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    add(database, occurred_at="2020-01-01Z", item_label="past")
    with psycopg.connect(database) as here:
        now = value(here, "select date_trunc('month', now(), 'UTC')")
    add(database, id=77, tx=7, occurred_at=now, item_label="one")
    add(engine_database, id=77, tx=7, occurred_at=now, item_label="another")
    only = ("--action", "license_updated", "--format", "jsonl")
    state = ("--since-last", str(tmp_path / "state"), *only)
    export(engine_database, tmp_path / "before", *state)
    export(database, tmp_path / "out", *only, "--per-partition")
    ran = auditdb("import", str(tmp_path / "out"), "--url", engine_database)
    assert (ran.returncode, "other content" in ran.stderr) == (1, True)
    export(engine_database, tmp_path / "after", *only)
    assert manifest(tmp_path / "after")["rows"] == 1
    # Increments go on: there is nothing that they could not tell from what is new.
    add(engine_database, item_label="later")
    export(engine_database, tmp_path / "next", *state)
    assert manifest(tmp_path / "next")["rows"] == 1


def test_the_greatest_numbers_harm_nothing(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    greatest = 2**63 - 1
    add(database, id=greatest, tx=greatest)
    add(database, id=-greatest - 1, tx=greatest)
    # As in a log that was restored from a server which was far ahead.
    with psycopg.connect(database) as here:
        here.execute("select audit.begin_era()")
    place = tmp_path / "out"
    only = ("--action", "license_updated", "--format", "jsonl")
    export(database, place, *only)
    assert auditdb("verify", str(place)).returncode == 0
    assert "of which 2 were new" in load(engine_database, place)
    with psycopg.connect(engine_database) as there:
        there.execute("create table public.t (id integer primary key)")
        there.execute("select audit.track('public.t', 't')")
        for number in range(3):
            there.execute("insert into public.t values (%s)", [number])
    state = ("--since-last", str(tmp_path / "state"), "--format", "jsonl")
    export(engine_database, tmp_path / "all", *state)
    with psycopg.connect(engine_database) as there:
        there.execute("delete from public.t where id = 0")
        found = there.execute("select id from audit.log where item_type = 't'").fetchall()
    ids = [number for (number,) in found]
    assert len(set(ids)) == 4
    assert max(ids) < greatest
    export(engine_database, tmp_path / "new", *state)
    rows = [json.loads(line) for line in data(tmp_path / "new")["log.jsonl"].splitlines()]
    assert [row["action"] for row in rows] == ["log_exported", "t_deleted"]
    assert "of which 0 were new" in load(engine_database, place)


@pytest.fixture
def twins(database: str) -> list[int]:
    """Rows of one moment and one id, in transactions of their own; the log has them."""
    transactions = [5, 6, 7]
    for tx in transactions:
        add(database, id=700, tx=tx, item_label=str(tx))
    return transactions


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_rows_that_their_transaction_alone_tells_apart_are_imported(
    database: str, engine_database: str, twins: list[int], tmp_path: Path, form: str
) -> None:
    add(engine_database, id=700, tx=6, item_label="6")
    export(database, tmp_path / "out", *RANGE, "--format", form)
    assert "of which 2 were new" in load(engine_database, tmp_path / "out")
    assert "of which 0 were new" in load(engine_database, tmp_path / "out")
    with psycopg.connect(engine_database) as there:
        found = there.execute("select tx from audit.log where id = 700 order by tx").fetchall()
    assert found == [(tx,) for tx in twins]


def damaged(place: Path, how: str) -> None:
    """Do to an export what happens to files."""
    (path,) = [path for path in place.iterdir() if path.name != "manifest.json"]
    content = path.read_bytes()
    match how:
        case "changed":
            changed = bytearray(content)
            changed[len(content) // 2] ^= 1
            path.write_bytes(changed)
        case "truncated":
            path.write_bytes(content[:-100])
        case "missing":
            path.unlink()
        case "extra":
            (place / "log_2.jsonl").write_bytes(content)
        case "no manifest":
            (place / "manifest.json").unlink()


def test_what_does_not_verify_is_not_imported(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    fill(database, 20)
    with psycopg.connect(engine_database) as there:
        state = "select count(*), max(id) from audit.log", "select count(*) from audit.era"
        before = [there.execute(query).fetchall() for query in state]
        there.commit()
        for form, compress in IMPORTABLE:
            whole = tmp_path / f"{form}-{compress}"
            export(database, whole, *RANGE, "--format", form, "--compress", compress)
            for how, named in (
                ("changed", "its sha256 is"),
                ("truncated", "bytes instead of"),
                ("missing", "missing"),
                ("extra", "log_2.jsonl: not in the manifest"),
                ("no manifest", "manifest.json is missing"),
            ):
                place = tmp_path / f"{form}-{compress}-{how}"
                shutil.copytree(whole, place)
                damaged(place, how)
                ran = auditdb("import", str(place), "--url", engine_database)
                assert (ran.returncode, ran.stdout) == (1, ""), (form, compress, how)
                assert named in ran.stderr, (form, compress, how)
        assert [there.execute(query).fetchall() for query in state] == before


def test_an_export_that_was_not_finished_is_not_imported(
    database: str, engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state was not moved on: the same rows come with the next export."""
    from auditdb._export import state_file

    fill(database, 20)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(state_file, "replace", crash)
    options = ("--url", database, "--format", "jsonl", "--since-last", str(tmp_path / "state"))
    assert auditdb("export", str(tmp_path / "out"), *options).returncode == 130
    monkeypatch.undo()
    assert (tmp_path / "out/manifest.json").exists()
    ran = auditdb("import", str(tmp_path / "out"), "--url", engine_database)
    assert ran.returncode == 1
    assert "export.journal: not in the manifest" in ran.stderr
    assert auditdb("export", str(tmp_path / "out"), *options).returncode == 0
    assert "were new" in load(engine_database, tmp_path / "out")


def test_killed_in_the_middle_it_is_whole_after_the_next_run(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    fill(database, 30_000, "8 minutes")
    out = tmp_path / "out"
    export(database, out, *RANGE, "--format", "jsonl")
    begun = "select exists (select from audit.era where is_open)"
    with psycopg.connect(engine_database, autocommit=True) as there:
        process = subprocess.Popen(
            [sys.executable, "-m", "auditdb", "import", out, "--url", engine_database],
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        while process.poll() is None and not value(there, begun):
            pass
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the import was over before it was killed"
        refused = auditdb("export", "-", "--url", engine_database)
        assert (refused.returncode, refused.stdout) == (1, "")
        again = ("import", str(out), "--url", engine_database)
        # The server may not have noticed yet that nobody is there any more.
        while "is under way" in (ran := auditdb(*again)).stderr:
            assert ran.returncode == 1
        assert ran.returncode == 0, ran.stderr
    export(engine_database, tmp_path / "after", *RANGE, "--format", "jsonl")
    assert data(tmp_path / "after") == data(out)


def test_of_two_imports_at_once_one_is_refused(
    database: str, engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import importing

    fill(database, 20)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    original = importing._load

    def another_meanwhile(*args: Any) -> int:
        ran = auditdb("import", str(tmp_path / "out"), "--url", engine_database)
        assert ran.returncode == 1
        assert "Another import into this log is under way" in ran.stderr
        return original(*args)

    monkeypatch.setattr(importing, "_load", another_meanwhile)
    assert "of which 20 were new" in load(engine_database, tmp_path / "out")


def test_a_server_that_goes_away_is_said_and_the_import_goes_on(
    database: str, engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import importing, incoming

    fill(database, 20)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    original = incoming.send

    def send_then_lose(connection: psycopg.Connection, batch: Any) -> None:
        original(connection, batch)
        with psycopg.connect(database) as other:
            own = connection.info.backend_pid
            other.execute("select pg_terminate_backend(%s, 10000)", [own])

    monkeypatch.setattr(importing, "send", send_then_lose)
    ran = auditdb("import", str(tmp_path / "out"), "--url", engine_database)
    assert ran.returncode == 1
    assert "connection to the database was lost" in ran.stderr
    assert "run the same import again" in ran.stderr
    monkeypatch.undo()
    assert "of which 20 were new" in load(engine_database, tmp_path / "out")


def test_csv_is_not_imported(database: str, tmp_path: Path) -> None:
    export(database, tmp_path / "out", *RANGE)
    ran = auditdb("import", str(tmp_path / "out"), "--url", database)
    assert ran.returncode == 1
    assert "--format jsonl" in ran.stderr


def test_an_archive_of_a_newer_version_than_the_log_is_refused(
    database: str, engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import formats, versions

    newer = versions.FormatVersion(99, {**versions.CURRENT.columns, "colour": "text"})
    place = tmp_path / "out"
    with psycopg.connect(database) as here:
        here.execute("alter table audit.log add column colour text")
        view = value(here, "select pg_get_viewdef('audit.events'::regclass)")
        shown = re.sub(r"(?=\n   FROM audit\.log l;$)", ", l.colour", view)
        here.execute(f"create or replace view audit.events as {shown}".encode())
    fill(database, 20)
    with monkeypatch.context() as patch:
        patch.setattr(formats, "CURRENT", newer)
        patch.setitem(versions.VERSIONS, newer.number, newer)
        export(database, place, *RANGE, "--format", "jsonl")
    unknown = auditdb("verify", str(place))
    assert unknown.returncode == 1
    known = ", ".join(map(str, versions.VERSIONS))
    assert f"has format 99; this auditdb knows {known}." in unknown.stderr
    monkeypatch.setitem(versions.VERSIONS, newer.number, newer)
    assert auditdb("verify", str(place)).returncode == 0
    ran = auditdb("import", str(place), "--url", engine_database)
    assert ran.returncode == 1
    assert "audit.log has no column colour" in ran.stderr
    assert "Run `auditdb upgrade`." in ran.stderr
    # Nothing was begun that would have to be ended.
    export(engine_database, tmp_path / "after", *RANGE)


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
    from tests.support.exports import rows

    add_hostile(database, size=10)
    for form in ("jsonl", "parquet"):
        export(database, tmp_path / form, *RANGE, "--format", form)
    lines = [
        [json.loads(row.line) for row in rows(tmp_path / form)] for form in ("jsonl", "parquet")
    ]
    assert lines[0] == lines[1]
