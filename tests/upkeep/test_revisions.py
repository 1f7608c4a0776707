"""Which package works on which revision of the log; revisions that there are not are made up."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import auditdb
from auditdb._connection import own
from auditdb._upkeep import database, migrate, revisions
from tests.conftest import CreateRole
from tests.support import ROOT
from tests.support.commands import Ran, add
from tests.support.commands import auditdb as command
from tests.support.servers import Server

Run = Callable[[str, Path], Ran]


def run_log(url: str, place: Path) -> Ran:
    return command("log", "--url", url)


def run_check(url: str, place: Path) -> Ran:
    return command("check", "--url", url)


def run_maintain(url: str, place: Path) -> Ran:
    return command("maintain", "--url", url)


def run_export(url: str, place: Path) -> Ran:
    return command("export", str(place / "new"), "--format", "jsonl", "--url", url)


def run_import(url: str, place: Path) -> Ran:
    return command("import", str(place / "export"), "--url", url)


READING = [run_log, run_check, run_maintain]


@pytest.fixture
def place(engine_database: str, tmp_path: Path) -> Path:
    """A directory with an export of the log of `engine_database`, which has a row."""
    add(engine_database)
    target = str(tmp_path / "export")
    assert command("export", target, "--format", "jsonl", "--url", engine_database).returncode == 0
    return tmp_path


def set_revisions(url: str, *names: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("delete from audit.alembic_version")
        for name in names:
            connection.execute("insert into audit.alembic_version values (%s)", [name])


def add_column(url: str) -> None:
    """Do what a newer version may do: add a column, at the end of the view."""
    with psycopg.connect(url) as connection:
        definition = connection.execute("select pg_get_viewdef('audit.events'::regclass)")
        text = (definition.fetchone() or ("",))[0]
        assert text.count("\n   FROM ") == 1
        text = text.replace("\n   FROM ", ",\n    1 AS later\n   FROM ")
        connection.execute("alter table audit.log add column later integer")
        connection.execute(
            f"create or replace view audit.events with (security_invoker) as {text}".encode()
        )


def test_the_package_needs_the_newest_revision_it_brings() -> None:
    assert revisions.needed() in migrate.heads()
    assert revisions.needed().startswith("audit_")


@pytest.mark.parametrize("run", [*READING, run_export, run_import])
def test_commands_refuse_an_older_log(engine_database: str, place: Path, run: Run) -> None:
    set_revisions(engine_database, "audit_0000")
    ran = run(engine_database, place)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"is at audit_0000, this auditdb needs {revisions.needed()}." in ran.stderr
    assert "Run `auditdb upgrade`." in ran.stderr
    assert not list(place.glob("new/*"))


@pytest.mark.parametrize("run", READING)
def test_commands_that_read_take_a_newer_log(engine_database: str, place: Path, run: Run) -> None:
    before = run(engine_database, place)
    set_revisions(engine_database, "audit_9999")
    add_column(engine_database)
    after = run(engine_database, place)
    assert after.returncode == before.returncode, after.stderr
    assert "audit_9999" not in after.stderr


def test_helpers_read_a_newer_log(engine_database: str) -> None:
    add(engine_database)
    set_revisions(engine_database, "audit_9999")
    add_column(engine_database)
    with psycopg.connect(engine_database) as connection:
        (event,) = auditdb.events(connection, item=("license", 42)).events
        assert event.changes == {"note": {"old": "a", "new": "b"}}


def test_an_export_takes_a_newer_log_and_leaves_no_column_out(
    engine_database: str, place: Path
) -> None:
    set_revisions(engine_database, "audit_9999")
    assert run_export(engine_database, place).returncode == 0
    shutil.rmtree(place / "new")
    add_column(engine_database)
    ran = run_export(engine_database, place)
    assert ran.returncode == 1
    assert "columns that this auditdb does not know: later." in ran.stderr
    assert not list(place.glob("new/*"))


def test_an_import_is_for_the_packages_own_revision(engine_database: str, place: Path) -> None:
    set_revisions(engine_database, "audit_9999")
    with psycopg.connect(engine_database) as connection:
        count = "select count(*) from audit.log"
        before = connection.execute(count).fetchone()
        connection.commit()
        ran = run_import(engine_database, place)
        assert ran.returncode == 1
        assert "is at audit_9999, which this auditdb does not know" in ran.stderr
        assert "Install the auditdb that upgraded it, or a newer one." in ran.stderr
        assert connection.execute(count).fetchone() == before


def test_an_upgrade_by_an_older_package_is_refused(engine_database: str) -> None:
    set_revisions(engine_database, "audit_9999")
    with pytest.raises(auditdb.SchemaAhead, match="audit_9999") as refused:
        migrate.upgrade(engine_database, "audit@head")
    assert "Install the auditdb" in (refused.value.hint or "")
    with pytest.raises(auditdb.SchemaAhead, match="audit_9999"):
        migrate.downgrade(engine_database, "audit@base")


@pytest.fixture
def newer_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that brings a revision more of the log."""
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    versions = tmp_path / "migrations" / "versions"
    text = (versions / "audit_0001_log.py").read_text("utf-8")
    (versions / "audit_0002_later.py").write_text(
        text.replace('"audit_0001"', '"audit_0002"')
        .replace("down_revision: str | None = None", 'down_revision: str | None = "audit_0001"')
        .replace('("audit",)', "None"),
        "utf-8",
    )
    monkeypatch.setattr(revisions, "directory", lambda: tmp_path / "migrations")
    yield
    assert revisions.needed() == "audit_0002"


def test_a_revision_of_the_example_stands_for_the_one_it_depends_on(
    database: str, newer_package: None
) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute("select version_num from audit.alembic_version").fetchall()
        assert rows == [("licensing_0001",)]
        assert revisions.installed(connection) == "audit_0001"
        with pytest.raises(auditdb.SchemaBehind, match=r"at audit_0001, .* needs audit_0002"):
            revisions.require(connection, "newer")
        revisions.require(connection, "any")
        connection.execute("insert into audit.alembic_version values ('audit_0002')")
        revisions.require(connection, "same")


def test_a_log_that_psql_installed_has_no_revision_to_refuse(
    server: Server, empty_database: str
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"])
    server.run("psql", "-X", "-q", "-d", name, "-f", str(ROOT / "sql/install.sql"))
    with database.connect(empty_database, accept="same") as connection:
        assert revisions.installed(connection) is None
    assert command("log", "--url", empty_database).returncode == 0


def test_a_reader_is_told_too_and_a_role_that_may_not_know_goes_on(
    server: Server, engine_database: str, create_role: CreateRole
) -> None:
    role = create_role()
    server_url = server.url(str(psycopg.conninfo.conninfo_to_dict(engine_database)["dbname"]), role)
    with psycopg.connect(engine_database) as connection:
        connection.execute(f"grant audit_reader to {role}".encode())
    set_revisions(engine_database, "audit_0000")
    with pytest.raises(auditdb.SchemaBehind):
        database.connect(server_url)
    with psycopg.connect(engine_database) as connection:
        connection.execute("revoke select on audit.alembic_version from audit_reader")
    assert command("log", "--url", server_url).returncode == 0


def test_a_connection_that_is_refused_is_closed(
    engine_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_revisions(engine_database, "audit_0000")
    opened: list[psycopg.Connection] = []
    connect = own.open_connection

    def remembering(**parameters: Any) -> own.OwnConnection:
        opened.append(found := connect(**parameters))
        return found

    monkeypatch.setattr(database, "open_connection", remembering)
    with pytest.raises(auditdb.SchemaBehind):
        database.connect(engine_database)
    assert [connection.closed for connection in opened] == [True]
