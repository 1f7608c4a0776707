"""An actor for a transaction that has begun already: set there at once, and taken out again."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.ext.asyncio import async_sessionmaker as async_maker
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

import auditdb
from auditdb._actor.instrument import instrument
from auditdb._actor.scope import actor, current_actor
from auditdb.errors import AuditError, NoTransaction
from tests.support.actors import (
    INSERT,
    INSERT_PSYCOPG,
    NOBODY,
    async_engine_of,
    create_notes,
    emptied,
    engine_of,
    notes_database,
    writers,
)
from tests.support.servers import Server

DRIVERS = ["psycopg", "psycopg2"]
ASYNC_DRIVERS = ["psycopg", "asyncpg"]


@pytest.fixture(scope="module")
def _notes(server: Server, template: str) -> Iterator[str]:
    with notes_database(server, template) as url:
        yield url


@pytest.fixture
def notes(_notes: str) -> str:
    """The URL of a database whose table note is tracked, and empty."""
    return emptied(_notes)


def insert(connection: Any, note: int) -> None:
    """Write a note through psycopg or SQLAlchemy."""
    if isinstance(connection, psycopg.Connection):
        connection.execute(INSERT_PSYCOPG, [note])
    else:
        connection.execute(INSERT, {"id": note})


async def insert_async(connection: Any, note: int) -> None:
    """Write a note through async psycopg or SQLAlchemy."""
    if isinstance(connection, psycopg.AsyncConnection):
        await connection.execute(INSERT_PSYCOPG, [note])
    else:
        await connection.execute(INSERT, {"id": note})


@contextmanager
def opened(database: str, kind: str) -> Iterator[Any]:
    """Open a connection or session of a `kind`, `driver what`; it is rolled back in the end."""
    driver, what = kind.split()
    if what == "alone":
        with closing(psycopg.connect(database, row_factory=dict_row)) as connection:
            yield connection
        return
    engine = engine_of(database, driver)
    try:
        if what == "connection":
            with engine.connect() as own:
                yield own
        elif what == "session":
            with Session(engine) as session:
                yield session
        else:
            scoped = scoped_session(sessionmaker(engine))
            yield scoped
            scoped.remove()
    finally:
        engine.dispose()


KINDS = [
    "psycopg alone",
    *(f"{driver} {what}" for driver in DRIVERS for what in ("connection", "session", "scoped")),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_actor_is_set_where_the_transaction_has_begun(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        insert(connection, 1)
        with actor("user", 7, connection=connection):
            insert(connection, 2)
            with actor("user", 8, "L", connection=connection, reason="x"):
                insert(connection, 3)
            insert(connection, 4)
        insert(connection, 5)
        connection.commit()
        insert(connection, 6)
        connection.commit()
    assert writers(notes) == [NOBODY, "user:7", "user:8", "user:7", NOBODY, NOBODY]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_there_before_comes_back_after_an_exception(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        with actor("user", 7, connection=connection):
            with pytest.raises(ZeroDivisionError), actor("user", 8, connection=connection):
                raise ZeroDivisionError
            insert(connection, 1)
        insert(connection, 2)
        connection.commit()
    assert writers(notes) == ["user:7", NOBODY]


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_that_failed_the_transaction_comes_out(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        insert(connection, 1)
        who = actor("user", 8, connection=connection)
        with pytest.raises((psycopg.Error, IntegrityError)) as caught, who:
            insert(connection, 1)
        assert auditdb.errors.sqlstate(caught.value) == "23505"
        with pytest.raises(AuditError, match="aborted"), who:
            raise AssertionError
        connection.rollback()
        insert(connection, 2)
        connection.commit()
    assert writers(notes) == [NOBODY]


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_transaction_ends_a_scope_in_silence(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        insert(connection, 1)
        with actor("user", 8, connection=connection), suppress(psycopg.Error, DBAPIError):
            insert(connection, 1)
        connection.rollback()
        insert(connection, 2)
        connection.commit()
    assert writers(notes) == [NOBODY]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_connection_does_not_hide_the_error(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        with pytest.raises(ZeroDivisionError), actor("user", 8, connection=connection):
            _terminate(notes, connection)
        assert current_actor() is None


def _terminate(database: str, connection: Any) -> None:
    """End the backend of a connection, and raise an error that has nothing to do with that."""
    if isinstance(connection, psycopg.Connection):
        found = connection.info.backend_pid
    else:
        found = connection.scalar(text("select pg_backend_pid()"))
    with psycopg.connect(database) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [found])
    raise ZeroDivisionError


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_connection_ends_a_scope_in_silence(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        insert(connection, 1)
        with actor("user", 8, connection=connection):
            with suppress(ZeroDivisionError):
                _terminate(notes, connection)
            with suppress(psycopg.Error, DBAPIError):
                insert(connection, 2)
        if not isinstance(connection, psycopg.Connection):
            connection.rollback()
            insert(connection, 3)
            connection.commit()
    assert writers(notes) == ([] if kind == "psycopg alone" else [NOBODY])


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_failed_flush_ends_a_scope_in_silence(notes: str, driver: str) -> None:
    with opened(notes, f"{driver} session") as session:
        insert(session, 1)
        with actor("user", 8, connection=session):
            session.add(Note(id=1))
            with pytest.raises(IntegrityError):
                session.flush()
            assert not session.is_active
        session.rollback()
        insert(session, 2)
        session.commit()
    assert writers(notes) == [NOBODY]


def savepoint(connection: Any) -> Any:
    """Return a block that is a savepoint."""
    if isinstance(connection, psycopg.Connection):
        return connection.transaction()
    return connection.begin_nested()


@pytest.mark.parametrize("kind", KINDS)
def test_savepoints_take_their_actor_along(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        insert(connection, 0)
        with actor("user", 7, connection=connection):
            inner = actor("user", 8, connection=connection)
            with suppress(ZeroDivisionError), savepoint(connection), inner:
                insert(connection, 1)
                raise ZeroDivisionError
            insert(connection, 2)
            with suppress(psycopg.Error, DBAPIError), savepoint(connection), inner:
                insert(connection, 2)
            insert(connection, 3)
            with savepoint(connection), actor("user", 10, connection=connection):
                insert(connection, 4)
            insert(connection, 5)
        with actor("user", 11, connection=connection), savepoint(connection):
            insert(connection, 6)
        insert(connection, 7)
        connection.commit()
    assert writers(notes) == [*(NOBODY, "user:7", "user:7", "user:10", "user:7", "user:11", NOBODY)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_transaction_begun_inside_is_left_as_it_is(notes: str, kind: str) -> None:
    with opened(notes, kind) as connection:
        with actor("user", 7, connection=connection):
            with actor("user", 8, connection=connection):
                insert(connection, 1)
                connection.commit()
                insert(connection, 2)
            insert(connection, 3)
        insert(connection, 4)
        connection.commit()
    assert writers(notes) == ["user:8", NOBODY, NOBODY, NOBODY]


@pytest.mark.parametrize("driver", DRIVERS)
def test_on_an_installed_engine_both_ways_go_together(notes: str, driver: str) -> None:
    engine = instrument(engine_of(notes, driver))
    with engine.connect() as connection:
        with actor("user", 6):
            with actor("user", 7, connection=connection):
                insert(connection, 1)
            insert(connection, 2)
            with actor("user", 8):
                insert(connection, 3)  # the transaction began before
                connection.commit()
                insert(connection, 4)
        insert(connection, 5)
        connection.commit()
        insert(connection, 6)
        connection.commit()
    engine.dispose()
    assert writers(notes) == ["user:7", "user:6", "user:6", "user:8", "user:8", NOBODY]


def test_a_table_that_requires_an_actor_finds_one_set_too_late(database: str) -> None:
    create_notes(database, ", require_actor => true")
    with closing(instrument(psycopg.connect(database))) as connection:
        connection.execute("select 1")
        with actor("user", 7):
            refused = pytest.raises(auditdb.ActorRequired, match="needs an actor")
            with refused, auditdb.errors.translated():
                insert(connection, 1)
            connection.rollback()
            connection.execute("select 1")
        with actor("user", 7, connection=connection):
            insert(connection, 1)
        connection.commit()
    assert writers(database) == ["user:7"]


def test_pipelines_of_psycopg(notes: str) -> None:
    with closing(psycopg.connect(notes)) as connection, connection.pipeline():
        insert(connection, 1)
        with actor("user", 7, connection=connection):
            insert(connection, 2)
        insert(connection, 3)
        connection.commit()
    assert writers(notes) == [NOBODY, "user:7", NOBODY]


@pytest.mark.parametrize("driver", ["psycopg alone", *DRIVERS])
def test_in_autocommit_mode_there_is_nothing_to_set(notes: str, driver: str) -> None:
    if driver == "psycopg alone":
        with closing(psycopg.connect(notes, autocommit=True)) as alone:
            refused = pytest.raises(NoTransaction, match="Put a transaction")
            with refused, actor("user", 7, connection=alone):
                raise AssertionError
            with alone.transaction(), actor("user", 7, connection=alone):
                insert(alone, 1)
            insert(alone, 2)
    else:
        engine = engine_of(notes, driver, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection, Session(engine) as session:
            for own in (connection, session):
                with pytest.raises(NoTransaction), actor("user", 7, connection=own):
                    raise AssertionError
            connection.rollback()
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin(), actor("user", 7, connection=connection):
                insert(connection, 1)
            insert(connection, 2)
            connection.commit()
        engine.dispose()
    assert current_actor() is None
    assert writers(notes) == ["user:7", NOBODY]


def test_errors_of_the_database_are_ours(empty_database: str) -> None:
    with closing(psycopg.connect(empty_database)) as connection:
        with pytest.raises(AuditError, match="schema"), actor("user", 7, connection=connection):
            raise AssertionError
        assert current_actor() is None


def test_what_is_no_connection_is_refused(notes: str) -> None:
    engine = async_engine_of(notes)
    asynchronous: list[Any] = [AsyncConnection(engine), AsyncSession(engine)]
    for wrong in asynchronous:
        with pytest.raises(TypeError, match="write `async with"), actor("u", 1, connection=wrong):
            raise AssertionError
    sync_engine: Any = engine.sync_engine
    with pytest.raises(TypeError, match="is no conn"), actor("u", 1, connection=sync_engine):
        raise AssertionError

    async def main() -> None:
        with pytest.raises(TypeError, match="is no connection"):
            async with actor("user", 7, connection=sync_engine):
                raise AssertionError

    asyncio.run(main())
    assert current_actor() is None


# The same, asynchronous.


async def _with_async(database: str, kind: str, use: Callable[[Any], Any]) -> None:
    driver, what = kind.split()
    if what == "alone":
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await use(connection)
        return
    engine = async_engine_of(database, driver)
    try:
        if what == "connection":
            async with engine.connect() as own:
                await use(own)
        elif what == "session":
            async with AsyncSession(engine) as session:
                await use(session)
        else:
            scoped = async_scoped_session(async_maker(engine), scopefunc=asyncio.current_task)
            await use(scoped)
            await scoped.remove()
    finally:
        await engine.dispose()


ASYNC_KINDS = [
    "psycopg alone",
    *(
        f"{driver} {what}"
        for driver in ASYNC_DRIVERS
        for what in ("connection", "session", "scoped")
    ),
]


@pytest.mark.parametrize("kind", ASYNC_KINDS)
def test_the_actor_is_set_in_async_transactions(notes: str, kind: str) -> None:
    async def use(connection: Any) -> None:
        await insert_async(connection, 1)
        async with actor("user", 7, connection=connection):
            await insert_async(connection, 2)
            with suppress(ZeroDivisionError):
                async with actor("user", 8, connection=connection):
                    await insert_async(connection, 3)
                    raise ZeroDivisionError
            await insert_async(connection, 4)
        await insert_async(connection, 5)
        await connection.commit()
        with suppress(psycopg.Error, DBAPIError):
            async with actor("user", 9, connection=connection):
                await insert_async(connection, 5)
        await connection.rollback()
        await insert_async(connection, 6)
        await connection.commit()

    asyncio.run(_with_async(notes, kind, use))
    assert writers(notes) == [NOBODY, "user:7", "user:8", "user:7", NOBODY, NOBODY]


@pytest.mark.parametrize("kind", ASYNC_KINDS)
def test_async_savepoints_take_their_actor_along(notes: str, kind: str) -> None:
    async def use(connection: Any) -> None:
        is_alone = isinstance(connection, psycopg.AsyncConnection)
        block = connection.transaction if is_alone else connection.begin_nested
        await insert_async(connection, 1)
        async with actor("user", 7, connection=connection):
            with suppress(psycopg.Error, DBAPIError):
                async with block(), actor("user", 8, connection=connection):
                    await insert_async(connection, 1)
            await insert_async(connection, 2)
        await insert_async(connection, 3)
        await connection.commit()

    asyncio.run(_with_async(notes, kind, use))
    assert writers(notes) == [NOBODY, "user:7", NOBODY]


def test_async_blocks_take_plain_connections_too(notes: str) -> None:
    async def main() -> None:
        with closing(psycopg.connect(notes)) as connection:
            async with actor("user", 7, connection=connection):
                insert(connection, 1)
            insert(connection, 2)
            connection.commit()

    asyncio.run(main())
    assert writers(notes) == ["user:7", NOBODY]


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_in_async_autocommit_mode_there_is_nothing_to_set(notes: str, driver: str) -> None:
    async def main() -> None:
        engine = async_engine_of(notes, driver, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            with pytest.raises(NoTransaction):
                async with actor("user", 7, connection=connection):
                    raise AssertionError
        await engine.dispose()
        async with await psycopg.AsyncConnection.connect(notes, autocommit=True) as alone:
            with pytest.raises(NoTransaction):
                async with actor("user", 7, connection=alone):
                    raise AssertionError

    asyncio.run(main())
