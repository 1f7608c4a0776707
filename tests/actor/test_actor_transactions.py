"""Every transaction begun in an actor's context carries the actor, whatever begins it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.rows import scalar_row
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import actor
from auditdb.errors import InvalidActor
from tests.support.actors import (
    INSERT,
    INSERT_PSYCOPG,
    NOBODY,
    async_engine_of,
    driver_of,
    emptied,
    engine_of,
    notes_database,
    writers,
)
from tests.support.servers import Server

NOT_TAUGHT = (
    f"psycopg {psycopg.__version__} begins this transaction in another way than through "
    "Connection._exec_command(): auditdb/_actor/psycopg_hook.py must follow"
)


@pytest.fixture(scope="module")
def _notes(server: Server, template: str) -> Iterator[str]:
    with notes_database(server, template) as url:
        yield url


@pytest.fixture
def notes(_notes: str) -> str:
    """The URL of a database whose table note is tracked, and empty."""
    return emptied(_notes)


# What begins a transaction, in psycopg.


def by_execute(connection: psycopg.Connection) -> None:
    connection.execute(INSERT_PSYCOPG, [1])
    connection.commit()


def by_block(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute(INSERT_PSYCOPG, [1])


def by_block_in_autocommit(connection: psycopg.Connection) -> None:
    connection.autocommit = True
    by_block(connection)


def by_nested_blocks(connection: psycopg.Connection) -> None:
    with connection.transaction("outer"), connection.transaction():
        connection.execute(INSERT_PSYCOPG, [1])


def by_cursor(connection: psycopg.Connection) -> None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        assert cursor.execute(INSERT_PSYCOPG + " returning id", [1], binary=True).fetchone() == 1
    connection.commit()


def by_client_cursor(connection: psycopg.Connection) -> None:
    connection.cursor_factory = psycopg.ClientCursor
    by_execute(connection)


def by_cursor_factory(connection: psycopg.Connection) -> None:
    connection.cursor_factory = partial(psycopg.RawCursor)  # type: ignore[assignment]
    connection.execute("insert into note (id) values ($1)", [1])
    connection.commit()


def by_own_cursor(connection: psycopg.Connection) -> None:
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(INSERT_PSYCOPG, [1])
    connection.commit()


def by_server_side_cursor(connection: psycopg.Connection) -> None:
    with connection.cursor("rows") as cursor:
        cursor.execute("select generate_series(1, 3)")
        assert cursor.fetchone() == (1,)
        connection.execute(INSERT_PSYCOPG, [1])
    connection.commit()


def by_copy(connection: psycopg.Connection) -> None:
    with connection.cursor() as cursor, cursor.copy("copy note (id) from stdin") as copy:
        copy.write_row((1,))
    connection.commit()


def by_executemany(connection: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT_PSYCOPG, [[1]])
    connection.commit()


def by_stream(connection: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        assert list(cursor.stream(INSERT_PSYCOPG + " returning id", [1])) == [(1,)]
    connection.commit()


def by_pipeline(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute(INSERT_PSYCOPG, [1])
        connection.commit()


def by_block_in_pipeline(connection: psycopg.Connection) -> None:
    with connection.pipeline(), connection.transaction():
        connection.execute(INSERT_PSYCOPG, [1])


def by_block_in_autocommit_pipeline(connection: psycopg.Connection) -> None:
    connection.autocommit = True
    with connection.pipeline():
        connection.execute("select 1")
        with connection.transaction():
            connection.execute(INSERT_PSYCOPG, [1])


def by_pipeline_in_block(connection: psycopg.Connection) -> None:
    with connection.transaction(), connection.pipeline():
        connection.execute(INSERT_PSYCOPG, [1])


def by_two_phases(connection: psycopg.Connection) -> None:
    connection.tpc_begin(connection.xid(1, "phases", "psycopg"))
    connection.execute(INSERT_PSYCOPG, [1])
    connection.tpc_prepare()
    connection.tpc_commit()


def after_an_error(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("select * from missing")
    connection.rollback()
    by_execute(connection)


BEGINS: list[Callable[[psycopg.Connection], None]] = [
    by_execute,
    by_block,
    by_block_in_autocommit,
    by_nested_blocks,
    by_cursor,
    by_client_cursor,
    by_cursor_factory,
    by_own_cursor,
    by_server_side_cursor,
    by_copy,
    by_executemany,
    by_stream,
    by_pipeline,
    by_block_in_pipeline,
    by_block_in_autocommit_pipeline,
    by_pipeline_in_block,
    by_two_phases,
    after_an_error,
]


@pytest.mark.parametrize("begin", BEGINS, ids=lambda begin: begin.__name__)
def test_whatever_begins_in_psycopg_carries_the_actor(
    notes: str, begin: Callable[[psycopg.Connection], None]
) -> None:
    with closing(instrument(psycopg.connect(notes))) as connection:
        with actor("user", 7):
            begin(connection)
        connection.autocommit = False
        connection.execute("delete from note")
        connection.commit()
    assert writers(notes) == ["user:7", NOBODY], NOT_TAUGHT


async def by_execute_async(connection: psycopg.AsyncConnection) -> None:
    await connection.execute(INSERT_PSYCOPG, [1])
    await connection.commit()


async def by_block_async(connection: psycopg.AsyncConnection) -> None:
    await connection.set_autocommit(True)
    async with connection.transaction(), connection.transaction():
        await connection.execute(INSERT_PSYCOPG, [1])


async def by_cursors_async(connection: psycopg.AsyncConnection) -> None:
    async with connection.cursor("rows") as cursor, connection.cursor() as other:
        await cursor.execute("select generate_series(1, 3)")
        assert [row async for row in other.stream(INSERT_PSYCOPG + " returning id", [1])] == [(1,)]
    await connection.commit()


async def by_copy_async(connection: psycopg.AsyncConnection) -> None:
    async with connection.cursor() as cursor, cursor.copy("copy note (id) from stdin") as copy:
        await copy.write_row((1,))
    await connection.commit()


async def by_executemany_async(connection: psycopg.AsyncConnection) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(INSERT_PSYCOPG, [[1]])
    await connection.commit()


async def by_pipeline_async(connection: psycopg.AsyncConnection) -> None:
    async with connection.pipeline():
        await connection.execute(INSERT_PSYCOPG, [1])
        await connection.commit()


async def by_block_in_pipeline_async(connection: psycopg.AsyncConnection) -> None:
    async with connection.pipeline(), connection.transaction():
        await connection.execute(INSERT_PSYCOPG, [1])


async def by_two_phases_async(connection: psycopg.AsyncConnection) -> None:
    await connection.tpc_begin(connection.xid(1, "phases", "async"))
    await connection.execute(INSERT_PSYCOPG, [1])
    await connection.tpc_prepare()
    await connection.tpc_commit()


BEGINS_ASYNC: list[Callable[[psycopg.AsyncConnection], Awaitable[None]]] = [
    by_execute_async,
    by_block_async,
    by_cursors_async,
    by_copy_async,
    by_executemany_async,
    by_pipeline_async,
    by_block_in_pipeline_async,
    by_two_phases_async,
]


@pytest.mark.parametrize("begin", BEGINS_ASYNC, ids=lambda begin: begin.__name__)
def test_whatever_begins_in_async_psycopg_carries_the_actor(
    notes: str, begin: Callable[[psycopg.AsyncConnection], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with instrument(await psycopg.AsyncConnection.connect(notes)) as connection:
            async with actor("user", 7):
                await begin(connection)
            await connection.set_autocommit(False)
            await connection.execute("delete from note")

    asyncio.run(main())
    assert writers(notes) == ["user:7", NOBODY], NOT_TAUGHT


def test_the_begin_keeps_what_the_connection_asks_for(notes: str) -> None:
    names = ("transaction_isolation", "transaction_read_only", "transaction_deferrable")
    with closing(instrument(psycopg.connect(notes))) as connection, actor("user", 7):
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.read_only = True
        connection.deferrable = True
        found = [connection.execute(f"show {name}").fetchone() for name in names]
        assert found == [("serializable",), ("on",), ("on",)]
        assert _actor_of(connection).split("\x1f")[1:] == ["user", "7", ""]


def test_an_encoding_that_cannot_write_the_actor_is_named(notes: str) -> None:
    with closing(instrument(psycopg.connect(notes, client_encoding="latin1"))) as connection:
        with actor("user", 7, "日本"), pytest.raises(InvalidActor, match="latin-1, cannot write"):
            connection.execute("select 1")
        with actor("user", 7, "é"):
            by_execute(connection)
    assert writers(notes) == ["user:7"]


def test_an_error_of_the_begin_is_the_applications_to_roll_back(notes: str) -> None:
    with psycopg.connect(notes) as other:
        pid = other.info.backend_pid
        with closing(instrument(psycopg.connect(notes))) as connection, actor("user", 7):
            other.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
            assert connection.closed
        assert other.execute("select pg_backend_pid()").fetchone() == (pid,)


def _actor_of(connection: psycopg.Connection) -> Any:
    return connection.execute("select current_setting('audit.actor', true)").fetchone()[0]  # type: ignore[index]


# What begins a transaction, in SQLAlchemy.


def by_engine_begin(connection: Connection) -> None:
    with connection.begin():
        connection.execute(INSERT, {"id": 1})


def by_autobegin(connection: Connection) -> None:
    connection.execute(INSERT, {"id": 1})
    connection.commit()


def by_begin_nested(connection: Connection) -> None:
    with connection.begin_nested():
        connection.execute(INSERT, {"id": 1})
    connection.commit()


def by_session(connection: Connection) -> None:
    with Session(connection) as session, session.begin(), session.begin_nested():
        session.execute(INSERT, {"id": 1})


def by_several_rows(connection: Connection) -> None:
    with connection.begin():
        connection.execute(INSERT, [{"id": 1}])


def by_isolation_level(connection: Connection) -> None:
    own = connection.execution_options(isolation_level="SERIALIZABLE")
    with own.begin():
        assert own.scalar(text("show transaction_isolation")) == "serializable"
        own.execute(INSERT, {"id": 1})


def by_stream_results(connection: Connection) -> None:
    for options in ({"stream_results": True}, {"yield_per": 2}):
        connection.execution_options(**options)
        assert connection.scalars(text("select generate_series(1, 3)")).all() == [1, 2, 3]
        connection.rollback()
    connection.execution_options(stream_results=False, yield_per=None)
    by_autobegin(connection)


def by_two_phases_of_sqlalchemy(connection: Connection) -> None:
    if driver_of(connection) == "asyncpg":
        by_autobegin(connection)  # it has no two-phase transactions
        return
    with connection.begin_twophase() as transaction:
        connection.execute(INSERT, {"id": 1})
        transaction.prepare()
    with connection.begin_twophase():
        pass  # the actor of a transaction that did nothing goes to no other one


BEGINS_SQLALCHEMY: list[Callable[[Connection], None]] = [
    by_engine_begin,
    by_autobegin,
    by_begin_nested,
    by_session,
    by_several_rows,
    by_isolation_level,
    by_stream_results,
    by_two_phases_of_sqlalchemy,
]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("begin", BEGINS_SQLALCHEMY, ids=lambda begin: begin.__name__)
def test_whatever_begins_in_sqlalchemy_carries_the_actor(
    notes: str, driver: str, begin: Callable[[Connection], None]
) -> None:
    engine = instrument(engine_of(notes, driver, pool_size=1, max_overflow=0))
    with engine.connect() as connection:
        with actor("user", 7):
            begin(connection)
        connection.execute(text("delete from note"))
        connection.commit()
    engine.dispose()
    assert writers(notes) == ["user:7", NOBODY]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("begin", BEGINS_SQLALCHEMY, ids=lambda begin: begin.__name__)
def test_whatever_begins_in_async_sqlalchemy_carries_the_actor(
    notes: str, driver: str, begin: Callable[[Connection], None]
) -> None:
    async def main() -> None:
        engine = instrument(async_engine_of(notes, driver, pool_size=1, max_overflow=0))
        async with engine.connect() as connection:
            async with actor("user", 7):
                await connection.run_sync(begin)
            await connection.execute(text("delete from note"))
            await connection.commit()
        await engine.dispose()

    asyncio.run(main())
    assert writers(notes) == ["user:7", NOBODY]
