"""Every view shows the same before and after a dump: whole, in halves, of the log alone."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

import auditdb
from tests.conftest import CANDIDATES, Kept, _new_database
from tests.support.helpers import newest, recorded, value
from tests.support.history import pictures, write_history
from tests.support.servers import Server

TRIGGERS = (
    "select tgrelid::regclass::text, tgname, tgenabled from pg_trigger"
    " where not tgisinternal order by 1, 2"
)
# What the log says of its own tables differs where triggers were disabled for a restore.
OF_ROWS = "e.item_type <> 'table'"


@pytest.fixture(scope="module")
def past(server: Server, template: str) -> Iterator[str]:
    """The name of a database with a history, which nobody writes to any more."""
    with _new_database(server, template) as name:
        with psycopg.connect(server.url(name), autocommit=True) as session:
            write_history(session)
        yield name


@pytest.fixture(params=["same", "newest"])
def restoring(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, server: Server, _kept: Kept
) -> Server:
    """The server that a dump is restored on: the one it is of, or the newest that is chosen."""
    if request.param == "same":
        return server
    target, *_ = pytestconfig.stash[CANDIDATES]
    if target.version == server.version:
        pytest.skip("no newer server is chosen")
    newest = _kept.get("server", target.id, target.start)
    with (
        psycopg.connect(server.url(server.maintenance)) as here,
        psycopg.connect(newest.url(newest.maintenance)) as there,
    ):
        roles = "select rolname from pg_roles where rolname ~ '^audit_' order by 1"
        missing = set(here.execute(roles).fetchall()) - set(there.execute(roles).fetchall())
    for (role,) in missing:  # as pg_dumpall --roles-only would
        newest.execute("create role {} nologin", role)
    return newest


@pytest.fixture
def restored(restoring: Server, _roles: list[str]) -> Iterator[str]:
    """The name of a database with nothing in it, on the server that restores."""
    with _new_database(restoring) as name:
        yield name


def dump(of: Server, programs: Server, name: str, file: Path, *options: str) -> str:
    """Dump a database with the programs of the server that restores it, as PostgreSQL advises."""
    reached = conninfo.make_conninfo(host=of.host, port=of.port, user=of.user, dbname=name)
    programs.run("pg_dump", "-Fc", "-f", str(file), *options, "-d", reached)
    return str(file)


def assert_same(before: str, after: str, where: str = "true", *, but: tuple[str, ...] = ()) -> None:
    """Fail unless all views of two databases show the same."""
    with (
        psycopg.connect(before, autocommit=True) as here,
        psycopg.connect(after, autocommit=True) as there,
    ):
        known, found = pictures(here, where=where), pictures(there, where=where)
    assert len(known["audit.events"]) > 30
    for name in known.keys() - but:
        assert found[name] == known[name], name


def assert_works(url: str) -> None:
    """Fail unless tables are still tracked, and their rows still read, in a restored database."""
    with psycopg.connect(url, autocommit=True) as session:
        assert [f for f in auditdb.check(session) if f.severity == "error"] == []
        with recorded(session) as rows:
            session.execute("insert into story.item (id, remark) values (9, 'after')")
            session.execute("alter table story.item add column later integer")
            session.execute("delete from story.item where id = 9")
        created, _, deleted = (row.changes for row in rows)
        assert created is not None
        assert deleted is not None
        assert created["remark"] == {"new": "after"}
        assert created.keys() | {"later"} == deleted.keys()


def test_a_whole_dump(
    server: Server, past: str, restoring: Server, restored: str, tmp_path: Path
) -> None:
    file = dump(server, restoring, past, tmp_path / "all")
    restoring.run("pg_restore", "--exit-on-error", "-d", restored, file)
    assert_same(server.url(past), restoring.url(restored))
    with (
        psycopg.connect(server.url(past)) as here,
        psycopg.connect(restoring.url(restored)) as there,
    ):
        assert there.execute(TRIGGERS).fetchall() == here.execute(TRIGGERS).fetchall()
    assert_works(restoring.url(restored))


def test_a_dump_of_the_schema_and_one_of_the_data(
    server: Server, past: str, restoring: Server, restored: str, tmp_path: Path
) -> None:
    schema = dump(server, restoring, past, tmp_path / "schema", "--schema-only")
    data = dump(server, restoring, past, tmp_path / "data", "--data-only")
    restoring.run("pg_restore", "--exit-on-error", "-d", restored, schema)
    restoring.run(
        *("pg_restore", "--exit-on-error", "--data-only", "--disable-triggers"),
        *("-d", restored, data),
    )
    url = restoring.url(restored)
    assert_same(server.url(past), url, OF_ROWS)
    # Where the restore left triggers weaker than they were, the log says so, and refresh mends it.
    with psycopg.connect(url, autocommit=True) as there:
        mark = newest(there)
        there.execute("select audit.refresh()")
        for finding in auditdb.check(there):
            if finding.finding in ("trigger_not_always", "guard_disabled"):
                there.execute(finding.mend.encode())
        with psycopg.connect(server.url(past)) as here:
            assert there.execute(TRIGGERS).fetchall() == here.execute(TRIGGERS).fetchall()
        made = "select count(*) from audit.log where id > %s and item_type <> 'table'"
        assert value(there, made, mark) == 0
    assert_works(url)


def test_a_dump_of_restored_section_by_section(
    server: Server, past: str, restoring: Server, restored: str, tmp_path: Path
) -> None:
    """Triggers are made after the data, also where the parts of a dump are restored one by one."""
    file = dump(server, restoring, past, tmp_path / "all")
    for section in ("pre-data", "data", "post-data"):
        restoring.run("pg_restore", "--exit-on-error", f"--section={section}", "-d", restored, file)
    assert_same(server.url(past), restoring.url(restored))
    assert_works(restoring.url(restored))
