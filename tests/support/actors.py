"""What tests of the actor share: a tracked table, who wrote its rows, and ways to connect."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, sessionmaker

from auditdb._actor.instrument import instrument
from tests.support.servers import Server

NOBODY = "database:postgres"
"""What the log says of a row that was written without an actor."""

Write = Callable[[int], None]
WriteAsync = Callable[[int], Awaitable[None]]

INSERT = text("insert into note (id) values (:id)")
INSERT_PSYCOPG = "insert into note (id) values (%s)"


def create_notes(database: str, options: LiteralString = "") -> None:
    """Create the table note and track it; `options` are further arguments of audit.track()."""
    with psycopg.connect(database) as connection:
        connection.execute("create table note (id bigint primary key, body text)")
        connection.execute(sql.SQL("select audit.track('note' {})").format(sql.SQL(options)))


@contextmanager
def notes_database(server: Server, template: str) -> Iterator[str]:
    """Give the URL of a new database with the table note, for the tests of a file."""
    name = f"auditdb_{secrets.token_hex(6)}"
    server.clone(name, template)
    try:
        create_notes(server.url(name))
        yield server.url(name)
    finally:
        server.execute("drop database {} with (force)", name)


def emptied(database: str) -> str:
    """Return `database` when its table note is empty, and with it what writers() returns."""
    with psycopg.connect(database) as connection:
        connection.execute("select audit.set_actor('test', 'before')")
        connection.execute("insert into note (id) values (0) on conflict do nothing")
        connection.execute("delete from note")
    return database


def writers(database: str) -> list[str]:
    """Return who wrote the rows of note since emptied(), in order, as `type:id`."""
    with psycopg.connect(database, row_factory=scalar_row) as connection:
        return connection.execute(
            "select actor_type || ':' || actor_id from audit.log where item_type = 'note'"
            " and id > coalesce((select max(id) from audit.log where actor_type = 'test'), 0)"
            " order by id"
        ).fetchall()


def sqlalchemy_url(database: str, driver: str) -> URL:
    """Return `database` for a driver behind SQLAlchemy; asyncpg knows none of libpq's options."""
    url = make_url(database).set(drivername=f"postgresql+{driver}")
    if driver == "asyncpg":
        query = {name: url.query[name] for name in ("host", "port") if name in url.query}
        url = url.set(query=query)
    return url


def engine_of(database: str, driver: str = "psycopg", **options: Any) -> Engine:
    """Return a new engine that is not installed."""
    return create_engine(sqlalchemy_url(database, driver), **options)


def async_engine_of(database: str, driver: str = "psycopg", **options: Any) -> AsyncEngine:
    """Return a new asynchronous engine that is not installed."""
    return create_async_engine(sqlalchemy_url(database, driver), **options)


def _engine(
    driver: str, **options: Any
) -> Callable[[str], AbstractContextManager[tuple[Write, Any]]]:
    @contextmanager
    def opened(database: str) -> Iterator[tuple[Write, Any]]:
        engine = instrument(engine_of(database, driver, **options))

        def write(note: int) -> None:
            with engine.begin() as connection:
                connection.execute(INSERT, {"id": note})

        try:
            yield write, engine
        finally:
            engine.dispose()

    return opened


def _sessionmaker(driver: str) -> Callable[[str], AbstractContextManager[tuple[Write, Any]]]:
    @contextmanager
    def opened(database: str) -> Iterator[tuple[Write, Any]]:
        engine = engine_of(database, driver)
        maker: sessionmaker[Session] = instrument(sessionmaker(engine))

        def write(note: int) -> None:
            with maker.begin() as session:
                session.execute(INSERT, {"id": note})

        try:
            yield write, maker
        finally:
            engine.dispose()

    return opened


@contextmanager
def _connection(database: str) -> Iterator[tuple[Write, Any]]:
    with instrument(psycopg.connect(database)) as connection:

        def write(note: int) -> None:
            connection.execute(INSERT_PSYCOPG, [note])
            connection.commit()

        yield write, connection


@contextmanager
def _pool(database: str) -> Iterator[tuple[Write, Any]]:
    with ConnectionPool(database, min_size=1, max_size=1, open=True) as plain:
        pool = instrument(plain)

        def write(note: int) -> None:
            with pool.connection() as connection:
                connection.execute(INSERT_PSYCOPG, [note])

        yield write, pool


SYNC: dict[str, Callable[[str], AbstractContextManager[tuple[Write, Any]]]] = {
    "connection": _connection,
    "pool": _pool,
    "engine psycopg": _engine("psycopg", pool_size=1, max_overflow=0),
    "engine psycopg2": _engine("psycopg2", pool_size=1, max_overflow=0),
    "sessionmaker psycopg": _sessionmaker("psycopg"),
    "sessionmaker psycopg2": _sessionmaker("psycopg2"),
}
"""Everything synchronous to install on: opens a database; gives a function that writes a note in a
transaction of its own, and what was installed on."""


def _async_engine(
    driver: str, **options: Any
) -> Callable[[str], AbstractAsyncContextManager[tuple[WriteAsync, Any]]]:
    @asynccontextmanager
    async def opened(database: str) -> AsyncIterator[tuple[WriteAsync, Any]]:
        engine = instrument(async_engine_of(database, driver, **options))

        async def write(note: int) -> None:
            async with engine.begin() as connection:
                await connection.execute(INSERT, {"id": note})

        try:
            yield write, engine
        finally:
            await engine.dispose()

    return opened


def _async_sessionmaker(
    driver: str,
) -> Callable[[str], AbstractAsyncContextManager[tuple[WriteAsync, Any]]]:
    @asynccontextmanager
    async def opened(database: str) -> AsyncIterator[tuple[WriteAsync, Any]]:
        engine = async_engine_of(database, driver)
        maker: async_sessionmaker[AsyncSession] = instrument(async_sessionmaker(engine))

        async def write(note: int) -> None:
            async with maker.begin() as session:
                await session.execute(INSERT, {"id": note})

        try:
            yield write, maker
        finally:
            await engine.dispose()

    return opened


@asynccontextmanager
async def _async_connection(database: str) -> AsyncIterator[tuple[WriteAsync, Any]]:
    async with instrument(await psycopg.AsyncConnection.connect(database)) as connection:

        async def write(note: int) -> None:
            await connection.execute(INSERT_PSYCOPG, [note])
            await connection.commit()

        yield write, connection


@asynccontextmanager
async def _async_pool(database: str) -> AsyncIterator[tuple[WriteAsync, Any]]:
    async with AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as plain:
        pool = instrument(plain)

        async def write(note: int) -> None:
            async with pool.connection() as connection:
                await connection.execute(INSERT_PSYCOPG, [note])

        yield write, pool


ASYNC: dict[str, Callable[[str], AbstractAsyncContextManager[tuple[WriteAsync, Any]]]] = {
    "connection": _async_connection,
    "pool": _async_pool,
    "engine psycopg": _async_engine("psycopg", pool_size=1, max_overflow=0),
    "engine asyncpg": _async_engine("asyncpg", pool_size=1, max_overflow=0),
    "sessionmaker psycopg": _async_sessionmaker("psycopg"),
    "sessionmaker asyncpg": _async_sessionmaker("asyncpg"),
}
"""As SYNC, asynchronous."""


def driver_of(connection: Connection) -> str:
    """Return the name of the driver below a connection, `psycopg` for both of its kinds."""
    return connection.dialect.driver.removesuffix("_async")
