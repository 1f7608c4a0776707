"""sql/ and the migrations build the same database, whichever way; and going back loses nothing."""

import ast
import difflib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import conninfo
from sqlalchemy import text

import auditdb
from auditdb import errors
from auditdb._upkeep import migrate
from tests.conftest import CreateRole
from tests.support import ROOT
from tests.support.helpers import value
from tests.support.servers import Server

VERSIONS = ROOT / "migrations" / "versions"
SCRIPTS = sorted(VERSIONS.glob("*.sql"))

ACTIONS = b"select jsonb_pretty(to_jsonb(a)) from audit.action as a order by a.action"
DECLARATIONS = b"""
  select jsonb_pretty(to_jsonb(t) - 'columns' || jsonb_build_object(
    'target', t.target::text,
    'tables', (select array_agg(r::text order by r::text) from unnest(t.tables) as r)))
  from audit.tracked as t
  order by t.target::text"""

NewDatabase = Callable[[], str]


@pytest.fixture
def new_database(server: Server, empty_database: str) -> Iterator[NewDatabase]:
    """A function that creates one more empty database and returns its URL."""
    first = name_of(empty_database)
    names: list[str] = []

    def new_database() -> str:
        name = f"{first}_{len(names)}"
        server.execute("create database {} template template0", name)
        names.append(name)
        return server.url(name)

    yield new_database
    for name in names:
        server.execute("drop database {} with (force)", name)


def name_of(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])


def install(server: Server, url: str) -> None:
    """Build a database from sql/ as a reader of it would."""
    server.run("psql", "-X", "-q", "-d", name_of(url), "-f", str(ROOT / "sql/install.sql"))


def describe(server: Server, url: str) -> list[str]:
    """Return the schema of a database and the content of its catalogue, line by line.

    Left out are the oids of tables, which differ between any two databases.
    """
    dump = server.run(
        "pg_dump", "--schema-only", "--exclude-table=audit.alembic_version", name_of(url)
    ).stdout
    lines = [
        line for line in dump.splitlines() if line and not re.match(r"--|\\(un)?restrict", line)
    ]
    with psycopg.connect(url) as connection:
        for query in (ACTIONS, DECLARATIONS):
            for row in connection.execute(query).fetchall():
                lines += row[0].replace("\\n", "\n").splitlines()
    return [re.sub(r"'\d+'(?='?::regclass)", "oid", line) for line in lines]


def assert_same(expected: list[str], found: list[str]) -> None:
    """Fail with the lines that are in one description and not in the other."""
    lines = list(difflib.unified_diff(expected, found, n=0, lineterm=""))
    assert not lines, "\n".join(["", *lines[:200]])


def objects(url: str) -> set[str]:
    """Return what is left in schema audit, and the event triggers of the database."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select c.oid::regclass::text from pg_class as c"
            " where c.relnamespace = to_regnamespace('audit')"
            " union all select p.oid::regprocedure::text from pg_proc as p"
            " where p.pronamespace = to_regnamespace('audit')"
            " union all select t.oid::regtype::text from pg_type as t"
            " where t.typnamespace = to_regnamespace('audit') and t.typrelid = 0 and t.typelem = 0"
            " union all select evtname from pg_event_trigger"
        ).fetchall()
    return {row[0] for row in rows}


def test_sql_and_migrations_and_the_offline_script_build_the_same(
    server: Server, new_database: NewDatabase, database: str
) -> None:
    from_sql, from_script = new_database(), new_database()
    install(server, from_sql)
    server.run(
        *("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", name_of(from_script)),
        input=migrate.script("heads"),
    )
    expected = describe(server, from_sql)
    assert_same(expected, describe(server, database))
    assert_same(expected, describe(server, from_script))
    with psycopg.connect(from_script) as connection:
        state = migrate.current(connection)
    assert [branch.current for branch in state.branches] == list(migrate.heads())


def test_the_engine_can_be_had_alone(server: Server, empty_database: str, database: str) -> None:
    ran = migrate.upgrade(empty_database, "audit@head")
    assert [title.split()[0] for title in ran] == ["audit_0001"]
    with psycopg.connect(empty_database) as connection:
        assert value(connection, "select to_regnamespace('licensing')") is None
        state = migrate.current(connection)
    assert state.missing == ()
    assert [branch.current for branch in state.branches] == ["audit_0001", None]
    migrate.upgrade(empty_database, "licensing@head")
    assert_same(describe(server, database), describe(server, empty_database))


def test_an_application_upgrades_its_database(empty_database: str) -> None:
    """By default to the log that this package needs, without the example."""
    url = empty_database.replace("postgresql://", "postgresql+asyncpg://")
    (title,) = auditdb.upgrade(url, partition_interval="year")
    assert title.startswith("audit_0001 ")
    assert auditdb.upgrade(empty_database) == ()
    with psycopg.connect(empty_database) as connection:
        assert value(connection, "select to_regnamespace('licensing') is null")
        assert value(connection, "select value from audit.option") == "year"
        assert auditdb.check(connection) == ()
    (example,) = auditdb.upgrade(empty_database, revision="heads")
    assert example.startswith("licensing_0001 ")


def test_an_upgrade_that_cannot_be_is_an_error_of_ours(empty_database: str) -> None:
    with pytest.raises(auditdb.InvalidUrl):
        auditdb.upgrade("mysql://localhost/app")
    with pytest.raises(auditdb.DatabaseUnreachable):
        auditdb.upgrade("postgresql://127.0.0.1:1/app")
    with pytest.raises(auditdb.MigrationFailed, match="audit_9999"):
        auditdb.upgrade(empty_database, "audit_9999")
    with pytest.raises(ValueError, match="month, quarter or year"):
        auditdb.upgrade(empty_database, partition_interval="week")


def test_eight_upgrades_at_once_all_succeed(empty_database: str) -> None:
    command = [sys.executable, "-m", "auditdb", "upgrade", "--url", empty_database]
    running = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(8)
    ]
    said = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 8, said
    assert sum("upgraded to audit_0001" in words for words in said) == 1
    with psycopg.connect(empty_database) as connection:
        assert migrate.current(connection).missing == ()


def test_alembic_itself_upgrades(empty_database: str) -> None:
    kept = {name: text for name, text in os.environ.items() if name != "AUDITDB_URL"}
    for arguments, variables in (
        (["-x", f"url={empty_database}", "upgrade", "audit@head"], {}),
        (["upgrade", "heads"], {"AUDITDB_URL": empty_database}),
    ):
        command = [sys.executable, "-m", "alembic", *arguments]
        subprocess.run(command, cwd=ROOT, env=kept | variables, check=True)
        with psycopg.connect(empty_database) as connection:
            state = migrate.current(connection)
        assert state.missing == ()
    assert all(branch.current for branch in state.branches)


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("create schema licensing create table accounts (id int)")
    with pytest.raises(errors.DatabaseFailed, match="accounts"):
        migrate.upgrade(empty_database, "licensing@head")
    with psycopg.connect(empty_database) as connection:
        assert value(connection, "select to_regnamespace('audit')") is None


def test_a_revision_that_does_not_exist_is_named(empty_database: str) -> None:
    with pytest.raises(errors.MigrationFailed, match="audit_4711"):
        migrate.upgrade(empty_database, "audit_4711")


def test_a_downgrade_that_would_lose_rows_is_refused(server: Server, database: str) -> None:
    before = describe(server, database)
    with psycopg.connect(database) as connection:
        assert value(connection, "select count(*) from audit.log") > 0
    with pytest.raises(errors.DowngradeRefused, match=r"\(\d+\)") as refused:
        migrate.downgrade(database, "base")
    assert "Export" in str(refused.value.hint)
    assert isinstance(refused.value.__cause__, psycopg.Error)
    assert_same(before, describe(server, database))


def test_a_downgrade_with_an_empty_log_leaves_nothing(server: Server, empty_database: str) -> None:
    migrate.upgrade(empty_database, "audit@head")
    before = describe(server, empty_database)
    assert len(objects(empty_database)) > 20
    migrate.downgrade(empty_database, "audit@base")
    assert objects(empty_database) == set()
    with psycopg.connect(empty_database) as connection:
        assert value(connection, "select to_regnamespace('audit')") is None
    migrate.upgrade(empty_database, "audit@head")
    assert_same(before, describe(server, empty_database))


def test_a_downgrade_of_the_platform_says_so_in_the_log_and_keeps_it(
    server: Server, database: str
) -> None:
    def log(action: str) -> list[str]:
        with psycopg.connect(database) as connection:
            query = "select item_id from audit.log where action = %s order by item_id"
            return [row[0] for row in connection.execute(query, [action])]

    before = without_numbers(describe(server, database))
    layouts = "select table_name, columns, secret from audit.layout order by id"
    with psycopg.connect(database) as connection:
        shapes = connection.execute(layouts).fetchall()
    tracked = log("tracking_started")
    assert len(tracked) == 18
    undone = migrate.downgrade(database, "licensing@base")
    assert [title.split()[0] for title in undone] == ["licensing_0001"]
    with psycopg.connect(database) as connection:
        assert value(connection, "select to_regnamespace('licensing')") is None
        assert value(connection, "select count(*) from audit.tracked") == 0
        assert [b.current for b in migrate.current(connection).branches] == ["audit_0001", None]
    assert log("tracking_started") == tracked
    assert log("tracking_stopped") == tracked
    migrate.upgrade(database, "licensing@head")
    assert_same(before, without_numbers(describe(server, database)))
    with psycopg.connect(database) as connection:
        assert connection.execute(layouts).fetchall() == [*shapes, *shapes]


def test_none_of_it_takes_a_superuser(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    name, owner = name_of(empty_database), create_role()
    server.execute("alter database {} owner to {}", name, owner)
    url = server.url(name, owner)
    migrate.upgrade(url, "licensing@head")
    migrate.downgrade(url, "licensing@base")
    with psycopg.connect(url) as connection:
        query = "select count(*) from audit.log where action = %s and db_role = %s"
        for action in ("tracking_started", "tracking_stopped"):
            assert value(connection, query, action, owner) == 18


def without_numbers(lines: list[str]) -> list[str]:
    """Leave out the numbers of declarations and layouts, which are never used twice, and layouts.

    Those stay for the rows that were written in them.
    """
    numbers = r"\"(id|layout)\": \d+|(?<=is_current\()\d+|(?<=audit.layout_)\d+"
    numbers += r"|^ +\d+,$|\"inputs\": \"\w+"
    blocks = re.split(r"(?m)^(?=CREATE|COMMENT|ALTER|GRANT|REVOKE|[({])", "\n".join(lines))
    derived = r"(CREATE|COMMENT ON|ALTER|GRANT ALL ON|REVOKE ALL ON)"
    derived += r" (TYPE|FUNCTION) audit.(layout|record)_"
    kept = "\n".join(block.rstrip("\n") for block in blocks if not re.match(derived, block))
    return [re.sub(numbers, "", line) for line in kept.splitlines()]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_reach_the_database_as_they_are_written(path: Path) -> None:
    script = path.read_text("utf-8")
    assert text(script).compile().params == {}, "SQLAlchemy takes a :word for a parameter"
    assert "\\:" not in script, "SQLAlchemy drops the backslash"


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("*.py")), ids=lambda path: path.name)
def test_revisions_lean_on_nothing_of_ours(path: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"__future__", "pathlib", "re", "alembic"}
    for kind in (".up.sql", ".down.sql"):
        assert path.with_suffix(kind).exists()


def released_migrations() -> set[str]:
    """The migrations that the changelog names for releases that are out."""
    sections = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1:]
    assert sections
    out = [text for text in sections if "(not released yet)" not in text.splitlines()[0]]
    return {name for text in out for name in re.findall(r"`((?:audit|licensing)_\d{4})`", text)}


def test_a_refresh_after_an_upgrade_finds_nothing_to_do(database: str) -> None:
    with psycopg.connect(database) as connection:
        before = value(connection, "select max(id) from audit.log")
        assert connection.execute("select audit.refresh()").fetchall() == []
        assert value(connection, "select max(id) from audit.log") == before
        started = "select count(*) from audit.log where action <> 'tracking_started'"
        assert value(connection, started) == 0


def test_released_files_are_never_edited() -> None:
    lines = (VERSIONS / "SHA256SUMS").read_text("utf-8").splitlines()
    sums = dict(line.split("  ", 1)[::-1] for line in lines)
    assert released_migrations() <= {re.sub(r"(_\d{4})_.*", r"\1", name) for name in sums}
    found = {name: hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest() for name in sums}
    assert found == sums


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """A copy of what `make migration` works on."""
    for folder in ("migrations", "scripts", "sql"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def make(workshop: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(workshop / "scripts/migration.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_new_migration_is_three_files_that_follow_the_last(workshop: Path) -> None:
    made = make(workshop, "new", "--branch", "licensing", "redact columns")
    assert made.returncode == 0, made.stderr
    names = {p.name for p in (workshop / "migrations/versions").glob("licensing_0002*")}
    stem = "licensing_0002_redact_columns"
    assert names == {f"{stem}.py", f"{stem}.up.sql", f"{stem}.down.sql"}
    scripts = ScriptDirectory(str(workshop / "migrations"))
    assert set(scripts.get_heads()) == {"audit_0001", "licensing_0002"}
    assert scripts.get_revision("licensing_0002").down_revision == "licensing_0001"


def test_a_database_is_behind_until_a_new_migration_has_run(
    workshop: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(workshop, "new", "--branch", "licensing", "redact columns")
    monkeypatch.setattr(migrate, "directory", lambda: workshop / "migrations")
    title = "licensing_0002 (redact columns)"
    with psycopg.connect(database) as connection:
        assert migrate.current(connection).missing == (title,)
    assert migrate.upgrade(database) == (title,)
    with psycopg.connect(database) as connection:
        assert migrate.current(connection).missing == ()
    assert migrate.downgrade(database, "licensing@-1") == (title,)


def test_the_example_comes_with_the_newest_engine(
    workshop: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(workshop, "new", "redact columns")
    monkeypatch.setattr(migrate, "directory", lambda: workshop / "migrations")
    ran = migrate.upgrade(empty_database, "licensing@head")
    assert {title.split()[0] for title in ran} == {"audit_0001", "audit_0002", "licensing_0001"}
    with psycopg.connect(empty_database) as connection:
        assert migrate.current(connection).missing == ()
    assert migrate.upgrade(empty_database) == ()


def test_a_released_migration_is_not_drafted_anew_nor_sealed_twice(workshop: Path) -> None:
    versions = workshop / "migrations" / "versions"
    (versions / "SHA256SUMS").unlink(missing_ok=True)
    assert make(workshop, "draft").returncode == 0
    assert make(workshop, "seal").returncode == 0
    assert "is released" in make(workshop, "draft").stderr
    with (versions / "audit_0001_log.up.sql").open("a") as script:
        script.write("-- one more line\n")
    assert "was edited" in make(workshop, "seal").stderr


def test_a_script_that_sqlalchemy_would_change_is_not_drafted(workshop: Path) -> None:
    (workshop / "migrations/versions/SHA256SUMS").unlink(missing_ok=True)
    with (workshop / "sql/audit/schema.sql").open("a") as script:
        script.write("\nselect '{\"a\" :word}';\n")
    assert ":word" in make(workshop, "draft").stderr
