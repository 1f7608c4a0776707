"""Nothing that others put into a schema of the search_path is called by commands and helpers."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg.conninfo import conninfo_to_dict

import auditdb
import auditdb.alembic
from auditdb._actor import psycopg_setting, sqlalchemy_setting
from auditdb._connection.own import open_connection
from auditdb._connection.qualified import qualified
from auditdb._upkeep import migrate
from tests.conftest import Kept, _new_database
from tests.support import doubles
from tests.support.commands import auditdb as command
from tests.support.commands import environment
from tests.support.helpers import platform
from tests.support.partitions import rebuild, write
from tests.support.servers import Server

PINNED: dict[str, Any] = {"options": "-c search_path=pg_catalog,pg_temp"}


@contextmanager
def _planted(server: Server, template: str = "template0") -> Iterator[str]:
    """Make a database with doubles of all, with a log that has rows if the template has one."""
    with _new_database(server, template) as name:
        url = server.url(name)
        if template != "template0":
            with closing(psycopg.connect(url, autocommit=True)) as session:
                rebuild(session, datetime.now(UTC) - timedelta(days=100))
                with session.transaction():
                    platform(session)
                write(session, datetime.now(UTC) - timedelta(days=80))
        assert doubles.plant(url) > 3000
        yield name


@contextmanager
def _clone(server: Server, source: str) -> Iterator[str]:
    """Clone a planted database; give the URL of it, and check in the end that nothing sprang."""
    with _new_database(server, source) as name:
        server.execute("alter database {} set search_path = public, pg_catalog", name)
        url = server.url(name)
        yield url
        assert not doubles.is_sprung(url)


@pytest.fixture(scope="session")
def planted_template(server: Server, template: str, _kept: Kept) -> str:
    """The name of a database with a log that has rows, and with doubles of all, to clone."""
    return _kept.get("planted", server.host, lambda: _planted(server, template))


@pytest.fixture
def planted(server: Server, planted_template: str) -> Iterator[str]:
    """The URL of a database with a log, doubles in schema public, and a path that leads there."""
    with _clone(server, planted_template) as url:
        yield url


@pytest.fixture
def shared(server: Server, planted_template: str, _kept: Kept) -> Iterator[str]:
    """The URL of such a database for tests that only read."""
    url = _kept.get("planted shared", server.host, lambda: _clone(server, planted_template))
    yield url
    assert not doubles.is_sprung(url)


@pytest.fixture
def planted_empty(server: Server, _kept: Kept) -> Iterator[str]:
    """The URL of a database with doubles in schema public and nothing else."""
    source = _kept.get("planted empty", server.host, lambda: _planted(server))
    with _clone(server, source) as url:
        yield url


@pytest.fixture
def session(shared: str) -> Iterator[psycopg.Connection]:
    """A connection of an application whose search_path leads to the doubles."""
    with closing(psycopg.connect(shared)) as connection:
        yield connection


@pytest.fixture
def engine_connection(shared: str) -> Iterator[sqlalchemy.Connection]:
    """One of SQLAlchemy, which looks around by itself when it connects."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        connect_args={**conninfo_to_dict(shared), **PINNED},
        use_native_hstore=False,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"set search_path = {doubles.PATH}")
        connection.commit()
        yield connection
    engine.dispose()


def done(*words: str, url: str) -> str:
    ran = command(*words, "--url", url)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_doubles_are_found_first(planted_empty: str, server: Server) -> None:
    """The other tests prove nothing where a name without a schema leads to PostgreSQL's own."""
    found: list[tuple[str, str]] = [
        ("select now()", "function"),
        ("select lower('A'::pg_catalog.text)", "function"),
        ("select count(*)", "aggregate"),
        ("select json_agg(1)", "aggregate"),
        ("select 1::pg_catalog.oid = 'pg_catalog.pg_class'::pg_catalog.regclass", "operator"),
        ("select 'a' = 'a'::pg_catalog.text", "operator"),
        ("select 'a'::text", "type"),
        ("select 1 from pg_class", "relation"),
    ]
    with _new_database(server, str(conninfo_to_dict(planted_empty)["dbname"])) as name:
        url = server.url(name)
        for statement, kind in found:
            with closing(psycopg.connect(url)) as other:
                other.execute("set search_path = public, pg_catalog")
                with pytest.raises(psycopg.errors.RaiseException, match=f"sprung: {kind}"):
                    other.execute(statement.encode())
        assert doubles.is_sprung(url)


def test_upgrade_and_downgrade(planted_empty: str) -> None:
    assert "was upgraded" in command("upgrade", "heads", "--url", planted_empty).stderr
    assert "is up to date" in command("upgrade", "--url", planted_empty).stderr
    done("current", url=planted_empty)
    done("downgrade", "licensing@base", url=planted_empty)
    done("upgrade", "licensing@head", url=planted_empty)


def test_an_engine_alone_comes_and_goes(planted_empty: str) -> None:
    assert auditdb.upgrade(planted_empty) != ()
    done("downgrade", "audit@base", url=planted_empty)
    assert auditdb.upgrade(planted_empty) != ()


def test_the_printed_script(server: Server, planted_empty: str) -> None:
    script = command("upgrade", "--sql").stdout
    name = str(conninfo_to_dict(planted_empty)["dbname"])
    for options in (["-1"], []):
        server.run(
            *("psql", "-X", "-q", *options, "-v", "ON_ERROR_STOP=1", "-d", name), input=script
        )
        migrate.downgrade(planted_empty, "audit@base")


def test_alembic_in_the_checkout(planted_empty: str) -> None:
    for words in ("upgrade heads", "current", "downgrade licensing@base"):
        subprocess.run(
            [sys.executable, "-m", "alembic", "-x", f"url={planted_empty}", *words.split()],
            env=environment(),
            check=True,
            capture_output=True,
        )


def test_maintain(planted: str) -> None:
    ran = command("maintain", "--ahead", "36", "--url", planted)
    assert ran.returncode == 0, ran.stderr
    assert "closing log_" in ran.stderr
    assert " 0 changes" not in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        "check",
        "check --json",
        "log",
        "log --all --limit 5 --json",
        "log --account 7",
        "log --item license:1 --actor platform_user:1 --since 7d --action license_created",
        "log --table licensing.licenses",
    ],
)
def test_what_reads(shared: str, words: str) -> None:
    ran = command(*words.split(), "--url", shared)
    assert "sprung" not in ran.stderr
    assert ran.returncode in (0, 1)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_exports_and_imports(planted: str, server: Server, tmp_path: Path, form: str) -> None:
    state = tmp_path / "state"
    options = ("--format", form, "--since-last", str(state))
    done("export", str(tmp_path / "one"), *options, url=planted)
    done("export", str(tmp_path / "two"), *options, url=planted)
    if form == "csv":
        return
    with _new_database(server, str(conninfo_to_dict(planted)["dbname"])) as name:
        server.execute("alter database {} set search_path = public, pg_catalog", name)
        other = server.url(name)
        ran = command("import", str(tmp_path / "one"), "--url", other)
        assert (ran.returncode, doubles.is_sprung(other)) == (0, False), ran.stderr


def item(connection: Any) -> tuple[str, str]:
    """Return an item that the log knows."""
    (one,) = auditdb.events(connection, action="license_created", limit=1)
    return one.item_type, one.item_id


def undo_last(connection: Any) -> None:
    """Undo the newest change of a row, and leave the row to the next connection."""
    one = next(e for e in auditdb.iter_events(connection) if e.action.endswith("_updated"))
    with auditdb.actor("platform_user", 7, connection=connection):
        assert auditdb.undo(connection, event=one.key, on_conflict="force") == 1
    connection.rollback()


READERS: dict[str, Callable[[Any], object]] = {
    "changes": lambda c: [auditdb.changes(c, e) for e in auditdb.events(c, limit=3)],
    "check": auditdb.check,
    "check after": lambda c: auditdb.check(c, pending_after=timedelta(hours=2)),
    "counts": lambda c: [
        auditdb.counts(c, by=by)
        for by in ("action", "actor", "actor_type", "item_type", "account", "day")
    ],
    "event": lambda c: [auditdb.event(c, e.key) for e in auditdb.events(c, limit=3)],
    "events": lambda c: auditdb.events(c, limit=3),
    "events filtered": lambda c: auditdb.events(
        c,
        account_id=1,
        item=item(c),
        table="licensing.licenses",
        action=["license_created", "license_updated"],
        actor=("platform_user", 1),
        on_behalf_of="platform_user",
        since=datetime(2020, 1, 1, tzinfo=UTC),
        until=datetime(2090, 1, 1, tzinfo=UTC),
    ),
    "events on": lambda c: auditdb.events(c, cursor=auditdb.events(c, limit=2).next_cursor),
    "field_history": lambda c: auditdb.field_history(c, item(c), "status"),
    "item_history": lambda c: auditdb.item_history(c, item(c)),
    "iter_events": lambda c: list(auditdb.iter_events(c, page_size=5)),
    "state_at": lambda c: auditdb.state_at(c, item(c), datetime.now(UTC)),
    "transaction_events": lambda c: auditdb.transaction_events(c, auditdb.events(c, limit=1)[0].tx),
    "undo": undo_last,
    "undo_plan": lambda c: auditdb.undo_plan(c, event=auditdb.events(c, limit=1)[0].key),
    "value_at": lambda c: auditdb.value_at(c, item(c), "status", datetime.now(UTC)),
}


@pytest.mark.parametrize("name", READERS)
def test_helpers(
    session: psycopg.Connection, engine_connection: sqlalchemy.Connection, name: str
) -> None:
    for connection in (session, engine_connection):
        READERS[name](connection)
    assert session.execute("show search_path").fetchone() == (doubles.PATH,)


def test_every_helper_is_among_them() -> None:
    rooms = ("_query.", "_upkeep.check")
    public = {
        name
        for name in auditdb.__all__
        if callable(getattr(auditdb, name))
        and not isinstance(getattr(auditdb, name), type)
        and getattr(auditdb, name).__module__.removeprefix("auditdb.").startswith(rooms)
    }
    assert {name.split()[0] for name in READERS} == public


def test_actors(session: psycopg.Connection, engine_connection: sqlalchemy.Connection) -> None:
    who = auditdb.Actor("platform_user", "7", label="ana", context={"request_id": "1"})
    before = psycopg_setting.put(session, who)
    psycopg_setting.restore(session, before)
    session.rollback()
    with auditdb.instrument(session), auditdb.actor("platform_user", 7):
        row = session.execute("select pg_catalog.current_setting('audit.actor')").fetchone()
    assert "platform_user" in str(row)
    sqlalchemy_setting.restore(engine_connection, sqlalchemy_setting.put(engine_connection, who))


def test_migrations_of_an_application(engine_connection: sqlalchemy.Connection) -> None:
    context = MigrationContext.configure(engine_connection)
    operations: Any = Operations(context)
    engine_connection.exec_driver_sql(
        "create table public.thing (id pg_catalog.int4 primary key, a pg_catalog.text)"
    )
    operations.track_table("thing", secret=["a"], lookups={}, item_label="id::text")
    operations.untrack_table("thing")
    for statement in migration_blocks():
        engine_connection.exec_driver_sql(statement)
    engine_connection.exec_driver_sql("drop table public.thing")


def migration_blocks() -> list[str]:
    from auditdb._tracking import autogenerate, migration_context

    return [
        migration_context._WIDEN,
        migration_context._REFRESH_STALE,
        migration_context._REFRESH,
        qualified(migration_context._AUDIT_TABLES),
        qualified(autogenerate._MAY_READ),
        qualified(autogenerate._TRACKED),
    ]


@pytest.mark.parametrize("autocommit", [True, False])
def test_each_transaction_of_ours_is_pinned_and_nothing_outlives_it(
    empty_database: str, autocommit: bool
) -> None:
    # Whatever the server that the tests run on has by default.
    parameters = conninfo_to_dict(empty_database) | {"options": "-c jit=on"}
    with closing(open_connection(autocommit=autocommit, **parameters)) as own:
        for _ in range(7):
            assert own.execute("show search_path").fetchone() == ("pg_catalog, pg_temp",)
            assert own.execute("show jit").fetchone() == ("off",)
            own.rollback()
            with own.transaction(), own.cursor() as cursor:
                cursor.execute("show search_path")
                assert cursor.fetchone() == ("pg_catalog, pg_temp",)
            own.rollback()
        own.autocommit = True
        with own.cursor() as cursor:
            cursor.execute("show search_path")
            assert cursor.fetchone() == ('"$user", public',)
            cursor.execute("show jit")
            assert cursor.fetchone() == ("on",)
            cursor.execute("select count(*) from pg_prepared_statements")
            assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select count(*), e.* from e", "select pg_catalog.count(*), e.* from e"),
        ("select 'a = b', \"c = d\"", "select 'a = b', \"c = d\""),
        ("x = :x and y", "x operator(pg_catalog.=) :x and y"),
        ("(a, b) < (1, 2)", "(a, b) operator(pg_catalog.<) (1, 2)"),
        ("cast(:x as text)", "cast(:x as pg_catalog.text)"),
        ("a::date, b::bigint", "a::pg_catalog.date, b::bigint"),
        ("timestamptz '2026-01-01'", "pg_catalog.timestamptz '2026-01-01'"),
        ("f(n => 1) as h (at)", "pg_catalog.f(n => 1) as h (at)"),
        ("audit.f(x) = any (array[1])", "audit.f(x) operator(pg_catalog.=) any (array[1])"),
        ("x operator(pg_catalog.=) 1", "x operator(pg_catalog.=) 1"),
    ],
)
def test_names_are_written_out(text: str, expected: str) -> None:
    assert qualified(text) == expected
    assert qualified(expected) == expected


@pytest.mark.parametrize(
    "text",
    ["a in (1)", "a between 1 and 2", "a is distinct from b", "a like 'x'", "a::mood", "(-a)"],
)
def test_what_cannot_be_written_out_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be written out|no type|no left operand"):
        qualified(text)
