"""What others hold delays upkeep for a while only, and the error says who they are."""

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

import auditdb
from auditdb._upkeep import maintenance, migrate, repair
from tests.conftest import Connect
from tests.support.commands import auditdb as command
from tests.support.helpers import value

KEYS = ("audit.maintain", "audit.grant_rights", "auditdb.migrations", "audit.import")
BRIEF = "-c lock_timeout=200ms"


@pytest.fixture
def stranger(engine_database: str) -> Iterator[psycopg.Connection]:
    """A session of somebody else, whose transaction stays open."""
    with closing(psycopg.connect(engine_database, application_name="reporting")) as session:
        yield session


@pytest.fixture
def owner(engine_database: str) -> Iterator[psycopg.Connection]:
    """A session of the owner of the log, which waits for no lock for long."""
    with closing(psycopg.connect(engine_database, autocommit=True)) as session:
        session.execute("create table thing (id int primary key)")
        session.execute("set lock_timeout = '200ms'")
        yield session


def brief(url: str) -> str:
    """Return the URL of sessions that wait for no lock for long."""
    return url.replace("statement_timeout", "lock_timeout%3D3s%20-c%20statement_timeout")


def named(session: psycopg.Connection) -> tuple[str, str]:
    return f"process {session.info.backend_pid} of role postgres", "application 'reporting'"


def test_advisory_locks_of_strangers_are_in_nobodys_way(
    engine_database: str, stranger: psycopg.Connection, owner: psycopg.Connection
) -> None:
    for key in KEYS:
        stranger.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [key])
    stranger.commit()
    assert value(owner, "select audit.maintain('40 months')") > 0
    owner.execute("select audit.grant_rights()")
    assert repair.run(brief(engine_database)) == ()
    assert migrate.upgrade(brief(engine_database), "licensing@head") != ()
    ran = command("maintain", "--ahead", "50", "--url", engine_database)
    assert ran.returncode == 0
    assert " 0 changes" not in ran.stderr


HELD = {
    "track": (
        "lock table thing in row exclusive mode",
        "select audit.track('thing')",
        "public.thing",
    ),
    "declarations": (
        "lock table audit.tracked in row exclusive mode",
        "select audit.track('thing')",
        "audit.tracked",
    ),
    "untrack": ("select * from thing", "select audit.untrack('thing')", "public.thing"),
    "refresh": (
        "lock table audit.tracked in share row exclusive mode",
        "select audit.refresh()",
        "audit.tracked",
    ),
    "refresh one": (
        "lock table audit.tracked in share row exclusive mode",
        "select audit.refresh('thing')",
        "audit.tracked",
    ),
    "grant_rights": (
        "lock table audit.option in share row exclusive mode",
        "select audit.grant_rights()",
        "audit.option",
    ),
    "maintain": (
        "lock table audit.option in share row exclusive mode",
        "select audit.maintain()",
        "audit.option",
    ),
}


@pytest.mark.parametrize("what", HELD)
def test_who_is_in_the_way_is_named(
    stranger: psycopg.Connection, owner: psycopg.Connection, what: str
) -> None:
    lock, call, relation = HELD[what]
    if what in ("untrack", "refresh one"):
        owner.execute("select audit.track('thing')")
    stranger.execute(lock.encode())
    with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
        owner.execute(call.encode())
    said = str(caught.value.diag.message_primary)
    for words in (*named(stranger), "idle in transaction, since 20", f"holds {relation}"):
        assert words in said
    assert "lock_timeout" in str(caught.value.diag.message_hint)
    stranger.rollback()
    owner.execute(call.encode())


def test_a_prepared_transaction_is_named(
    stranger: psycopg.Connection, owner: psycopg.Connection
) -> None:
    stranger.execute("lock table thing in row exclusive mode")
    stranger.execute("prepare transaction 'left_behind'")
    try:
        with pytest.raises(psycopg.errors.LockNotAvailable, match="'left_behind' of role postgres"):
            owner.execute("select audit.track('thing')")
    finally:
        owner.execute("rollback prepared 'left_behind'")
    owner.execute("select audit.track('thing')")


@pytest.mark.parametrize("before", ["0", "7s"])
def test_the_bound_ends_with_the_call(owner: psycopg.Connection, before: str) -> None:
    owner.execute("select set_config('lock_timeout', %s, false)", [before])
    with owner.transaction():
        for call in ("track('thing')", "refresh()", "grant_rights()", "untrack('thing')"):
            owner.execute(f"select audit.{call}".encode())
            assert value(owner, "show lock_timeout") == before
    assert value(owner, "show lock_timeout") == before


def test_nothing_waits_without_a_bound(owner: psycopg.Connection) -> None:
    """Where the caller sets none there is one of ten seconds: read, since waiting takes long."""
    owner.execute("reset lock_timeout")
    owner.execute(
        "create function seen() returns trigger language plpgsql as"
        " $$ begin raise notice 'lock_timeout %', current_setting('lock_timeout');"
        " return null; end $$"
    )
    owner.execute("create trigger seen after insert on audit.tracked execute function seen()")
    heard: list[str] = []
    owner.add_notice_handler(lambda d: heard.append(str(d.message_primary)))
    owner.execute("select audit.track('thing')")
    assert "lock_timeout 10s" in heard


UPGRADES: dict[str, tuple[str, Callable[[str], object]]] = {
    "upgrade": ("lock table audit.alembic_version in row exclusive mode", migrate.upgrade),
    "upgrade and refresh": (
        "lock table audit.tracked in row exclusive mode",
        lambda url: migrate.upgrade(url, "licensing@head"),
    ),
    "downgrade": (
        "select count(*) from audit.log",
        lambda url: migrate.downgrade(url, "audit@base"),
    ),
    "repair": (
        "lock table audit.alembic_version in share row exclusive mode",
        repair.run,
    ),
    "repair of a table": ("lock table audit.tracked in row exclusive mode", repair.run),
}


@pytest.mark.parametrize("what", UPGRADES)
def test_an_upgrade_names_who_is_in_the_way(
    engine_database: str, stranger: psycopg.Connection, what: str
) -> None:
    lock, run = UPGRADES[what]
    stranger.execute(lock.encode())
    with pytest.raises(auditdb.LogBusy) as caught:
        run(brief(engine_database))
    for words in (*named(stranger), "idle in transaction, since 20"):
        assert words in caught.value.message
    assert "pg_terminate_backend" in (caught.value.hint or "")
    stranger.rollback()
    run(brief(engine_database))


def test_an_install_names_who_makes_the_schema(empty_database: str) -> None:
    with closing(psycopg.connect(empty_database, application_name="reporting")) as stranger:
        stranger.execute("create schema audit")
        with pytest.raises(auditdb.LogBusy) as caught:
            migrate.upgrade(brief(empty_database))
        for words in (*named(stranger), "idle in transaction, since 20"):
            assert words in caught.value.message
        stranger.rollback()
        assert migrate.upgrade(brief(empty_database)) != ()


def test_an_upgrade_bounds_its_waits_by_itself() -> None:
    assert "when '0' then '30s'" in command("upgrade", "--sql").stdout


def test_maintenance_names_who_is_in_the_way(connect: Connect) -> None:
    keeper, other = connect(autocommit=True), connect(application_name="reporting")
    other.execute("select count(*) from audit.log")
    with pytest.raises(auditdb.LogBusy) as caught:
        maintenance.maintain(keeper, ahead="30 months", patience=0.3)
    for words in named(other):
        assert words in caught.value.message
