"""Maintenance that is killed, waits, or meets another one leaves nothing that stays."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

import auditdb
from auditdb._upkeep import maintenance
from tests.conftest import CreateRole, _migrated
from tests.support.helpers import value
from tests.support.partitions import rebuild, write
from tests.support.servers import Server

INVALID = (
    "select count(*) from pg_index as i"
    " join pg_class as c on i.indrelid in (c.oid, c.reltoastrelid)"
    " where c.relnamespace = 'audit'::regnamespace and c.relispartition and not i.indisvalid"
)
WAITING = (
    "select a.pid from pg_stat_activity as a where a.query ~ 'reindex' and a.query !~ 'pg_stat'"
    " and a.wait_event_type = 'Lock' and a.datname = current_database()"
)


@pytest.fixture(params=["superuser", "owner"])
def url(request: pytest.FixtureRequest, server: Server, create_role: CreateRole) -> Iterator[str]:
    """A database with a log, as the role that installed it sees it."""
    role = create_role() if request.param == "owner" else None
    with _migrated(server, "audit@head", role) as name:
        if role is not None:
            server.execute("grant pg_read_all_stats to {}", role)
        yield server.url(name, role)


@pytest.fixture
def owner(url: str) -> Iterator[psycopg.Connection]:
    """A session of that role."""
    with closing(psycopg.connect(url, autocommit=True)) as session:
        yield session


@pytest.fixture
def old(owner: psycopg.Connection) -> str:
    """A partition with rows whose time is over."""
    rebuild(owner, datetime.now(UTC) - timedelta(days=100))
    name = write(owner, datetime.now(UTC) - timedelta(days=80))
    for _ in range(50):
        write(owner, datetime.now(UTC) - timedelta(days=80))
    return name.removeprefix("audit.")


@contextmanager
def reader(url: str, name: str) -> Iterator[psycopg.Connection]:
    """Keep a transaction open that has read a partition."""
    with closing(psycopg.connect(url, application_name="reporting")) as session:
        session.execute(f"select count(*) from audit.{name}".encode())
        yield session


def until(found: Callable[[], object]) -> object:
    """Return what is found, as soon as it is."""
    pause, end = threading.Event(), datetime.now(UTC) + timedelta(seconds=30)
    while datetime.now(UTC) < end:
        if (seen := found()) is not None:
            return seen
        pause.wait(0.02)
    raise AssertionError("it never came")


@contextmanager
def maintaining(url: str, patience: float = 30) -> Iterator[list[object]]:
    """Maintain in another thread; what it came to, or its error, is in the list in the end."""
    came: list[object] = []

    def run() -> None:
        with closing(psycopg.connect(url, autocommit=True)) as session:
            try:
                came.append(maintenance.maintain(session, patience=patience))
            except auditdb.AuditError as error:
                came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield came
    finally:
        thread.join()


def test_killed_it_leaves_nothing_that_the_next_does_not_clear(
    url: str, owner: psycopg.Connection, old: str
) -> None:
    with reader(url, old), maintaining(url) as came:
        pid = until(lambda: next((p for (p,) in owner.execute(WAITING)), None))
        owner.execute("select pg_terminate_backend(%s)", [pid])
    assert isinstance(came[0], auditdb.DatabaseUnreachable)
    assert value(owner, INVALID) == 1
    assert "index_invalid" in {one.finding for one in auditdb.check(owner)}
    done = maintenance.maintain(owner)
    assert old in done.closed
    assert value(owner, INVALID) == 0
    assert "index_invalid" not in {one.finding for one in auditdb.check(owner)}


def test_what_is_under_way_is_no_finding(url: str, owner: psycopg.Connection, old: str) -> None:
    with reader(url, old) as holding, maintaining(url) as came:
        until(lambda: next((p for (p,) in owner.execute(WAITING)), None))
        assert value(owner, INVALID) == 1
        assert "index_invalid" not in {one.finding for one in auditdb.check(owner)}
        holding.rollback()
    assert isinstance(came[0], maintenance.Maintenance)
    assert old in came[0].closed


def test_two_at_once_leave_each_other_alone(url: str, owner: psycopg.Connection, old: str) -> None:
    with reader(url, old) as holding, maintaining(url) as came:
        until(lambda: next((p for (p,) in owner.execute(WAITING)), None))
        second = maintenance.maintain(owner, patience=0.5)
        assert old not in second.closed
        why = [one for one in second.postponed if one.startswith(f"{old}: ")]
        assert [one.startswith(f"{old}: process ") for one in why] == [True], why
        assert value(owner, INVALID) == 1
        holding.rollback()
    assert isinstance(came[0], maintenance.Maintenance)
    assert old in came[0].closed
    assert value(owner, INVALID) == 0


def test_many_at_once_end(url: str, owner: psycopg.Connection, old: str) -> None:
    with maintaining(url) as one, maintaining(url) as two, maintaining(url) as three:
        pass
    ended = [came[0] for came in (one, two, three)]
    assert [one for one in ended if not isinstance(one, maintenance.Maintenance)] == []
    maintenance.maintain(owner)
    assert value(owner, INVALID) == 0
    closed = "select count(*) from audit.closed_partition where partition = %s"
    assert value(owner, closed, old) == 1


def test_it_waits_so_long_and_says_for_whom(url: str, owner: psycopg.Connection, old: str) -> None:
    with reader(url, old) as holding:
        done = maintenance.maintain(owner, patience=0.3)
        (said,) = [one for one in done.postponed if one.startswith(f"{old}: ")]
        assert f"process {holding.info.backend_pid} of role" in said
        assert "application 'reporting', idle in transaction, since 20" in said
    assert old in maintenance.maintain(owner).closed
    assert value(owner, INVALID) == 0


def test_what_a_dba_left_of_toast_is_found_and_cleared_where_that_may_be(
    url: str, server: Server, owner: psycopg.Connection, old: str
) -> None:
    dbname = owner.info.dbname
    with closing(psycopg.connect(server.url(dbname), autocommit=True)) as dba:
        toast = value(
            dba,
            "select i.indexrelid::regclass::text from pg_index as i join pg_class as c"
            " on i.indrelid = c.reltoastrelid where c.oid = %s::regclass",
            f"audit.{old}",
        )
        failed: list[psycopg.Error] = []

        def rebuild_all() -> None:
            with closing(psycopg.connect(server.url(dbname), autocommit=True)) as other:
                try:
                    other.execute(f"reindex index concurrently {toast}".encode())
                except psycopg.Error as error:
                    failed.append(error)

        with closing(psycopg.connect(server.url(dbname))) as holding:
            holding.execute(f"select count(*) from {toast.removesuffix('_index')}".encode())
            thread = threading.Thread(target=rebuild_all)
            thread.start()
            pid = until(lambda: next((p for (p,) in dba.execute(WAITING)), None))
            dba.execute("select pg_terminate_backend(%s)", [pid])
            thread.join()
        assert len(failed) == 1
        assert value(dba, INVALID) == 1
    found = [one for one in auditdb.check(owner) if one.finding == "index_invalid"]
    (left,) = (one.object for one in found)
    assert left in (f"{toast}_ccnew", f"{toast}_ccold")
    assert [one.mend for one in found] == [f"drop index {left};"]
    done = maintenance.maintain(owner)
    if owner.info.user == "postgres":
        assert value(owner, INVALID) == 0
    else:
        assert f"{left}: left over, and a superuser must drop it" in done.postponed
