"""Through PgBouncer in transaction mode, every row has the actor of its own client."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import actor
from tests.support.actors import INSERT, INSERT_PSYCOPG, async_engine_of, create_notes
from tests.support.pgbouncer import PREPARES, NoPgBouncerError, PgBouncer, pgbouncer

CLIENTS = 50
TRANSACTIONS = 200  # of each client
SERVER_CONNECTIONS = 5


@pytest.fixture
def notes(database: str) -> str:
    """The URL of a database whose table note is tracked."""
    create_notes(database)
    return database


@pytest.fixture
def bouncer(notes: str) -> Iterator[PgBouncer]:
    """A PgBouncer before `notes` with fewer connections to it than there are clients."""
    try:
        with pgbouncer(notes, SERVER_CONNECTIONS) as running:
            yield running
    except NoPgBouncerError as error:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(str(error))
        pytest.skip(str(error))


async def _clients(work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(work(number))


def _each_row_is_by_its_client(database: str, count: int) -> None:
    """Check that all rows are there, by the client whose number is the note's modulo CLIENTS."""
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "select count(*), count(*) filter (where actor_type = 'client'"
            " and actor_id = (item_id::int %% %s)::text), count(distinct actor_id)"
            " from audit.log where item_type = 'note'",
            [CLIENTS],
        ).fetchone()
    assert found == (count, count, CLIENTS)


def test_psycopg_without_prepared_statements(notes: str, bouncer: PgBouncer) -> None:
    backends: set[int] = set()

    async def client(number: int) -> None:
        nonlocal backends
        connection = await psycopg.AsyncConnection.connect(
            bouncer.url(notes), prepare_threshold=None
        )
        async with instrument(connection), actor("client", number):
            for turn in range(TRANSACTIONS):
                cursor = await connection.execute(
                    INSERT_PSYCOPG + " returning pg_backend_pid()", [turn * CLIENTS + number]
                )
                backends |= {row[0] for row in await cursor.fetchall()}
                await connection.commit()

    asyncio.run(_clients(client))
    assert 1 < len(backends) <= SERVER_CONNECTIONS
    _each_row_is_by_its_client(notes, CLIENTS * TRANSACTIONS)


def test_a_client_without_an_actor_between_others(notes: str, bouncer: PgBouncer) -> None:
    async def client(number: int) -> None:
        connection = await psycopg.AsyncConnection.connect(
            bouncer.url(notes), prepare_threshold=None
        )
        async with instrument(connection):
            for turn in range(20):
                who = actor("client", number) if (turn + number) % 2 else None
                if who:
                    async with who:
                        await connection.execute(INSERT_PSYCOPG, [turn * CLIENTS + number])
                else:
                    await connection.execute(INSERT_PSYCOPG, [-turn * CLIENTS - number - 1])
                await connection.commit()

    asyncio.run(_clients(client))
    with psycopg.connect(notes) as connection:
        wrong = connection.execute(
            "select count(*), count(*) filter (where (item_id::int < 0)"
            " <> (actor_type = 'database')) from audit.log where item_type = 'note'"
        ).fetchone()
    assert wrong == (CLIENTS * 20, 0)


def test_asyncpg_with_prepared_statements(notes: str, bouncer: PgBouncer) -> None:
    """asyncpg prepares every statement; SQLAlchemy's documented way for PgBouncer of any version.

    Each statement gets a name of its own, and none is kept for another transaction, which may run
    on another connection of the server.
    """

    async def client(engine: AsyncEngine, number: int) -> None:
        async with actor("client", number), engine.connect() as connection:
            for turn in range(TRANSACTIONS):
                async with connection.begin():
                    await connection.execute(INSERT, {"id": turn * CLIENTS + number})

    async def main() -> None:
        engine = async_engine_of(
            bouncer.url(notes),
            "asyncpg",
            pool_size=CLIENTS,
            connect_args={
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
            },
        )
        instrument(engine)
        await _clients(lambda number: client(engine, number))
        await engine.dispose()

    asyncio.run(main())
    _each_row_is_by_its_client(notes, CLIENTS * TRANSACTIONS)


def test_psycopg_with_prepared_statements(notes: str, bouncer: PgBouncer) -> None:
    """psycopg prepares each statement once for a connection.

    PgBouncer keeps such statements in transaction mode since 1.21, with max_prepared_statements.
    One before that hands the next transaction to a connection of the server that has not prepared
    the statement: there it can be prepared for one transaction, by SQL.
    """

    async def client(number: int) -> None:
        keeps = bouncer.version >= PREPARES
        connection = await psycopg.AsyncConnection.connect(
            bouncer.url(notes), prepare_threshold=0 if keeps else None
        )
        async with instrument(connection), actor("client", number):
            for turn in range(TRANSACTIONS):
                await _insert(connection, turn * CLIENTS + number, keeps)
                await connection.commit()

    asyncio.run(_clients(client))
    _each_row_is_by_its_client(notes, CLIENTS * TRANSACTIONS)


async def _insert(connection: psycopg.AsyncConnection[Any], note: int, keeps: bool) -> None:
    if keeps:
        await connection.execute(INSERT_PSYCOPG, [note])
        return
    async with psycopg.AsyncClientCursor(connection) as cursor:
        await cursor.execute(
            "prepare add_note (bigint) as insert into note (id) values ($1);"
            " execute add_note (%s); deallocate add_note",
            [note],
        )
