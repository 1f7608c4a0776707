"""Whatever ends a piece of work, the next user of its connection has no actor."""

import asyncio
import itertools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import nullcontext, suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import Connection, Engine, NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import actor, current_actor
from tests.support.actors import (
    INSERT,
    INSERT_PSYCOPG,
    NOBODY,
    async_engine_of,
    create_notes,
    engine_of,
    writers,
)
from tests.support.effort import sized


@pytest.fixture
def notes(database: str) -> str:
    """The URL of a database whose table note is tracked."""
    create_notes(database)
    return database


# A piece of work: what a user of a pool does with one connection, step by step.


@st.composite
def works(draw: st.DrawFn) -> list[str]:
    steps = ["write", "fail", "raise", "commit", "rollback", "enter", "enter here", "exit"]
    return draw(st.lists(st.sampled_from(steps), max_size=10))


Run = Callable[[str], Any]


def do(steps: list[str], connection: Any, execute: Run) -> None:
    """Take the steps by actors, leaving whatever is open to the pool."""
    scopes: list[Any] = []
    try:
        for number, step in enumerate(steps):
            if step == "write":
                execute(f"update note set body = '{number}'")
            elif step == "fail":
                execute("select 1 / 0")
            elif step == "raise":
                raise ZeroDivisionError
            elif step == "commit":
                connection.commit()
            elif step == "rollback":
                connection.rollback()
            elif step == "exit" and scopes:
                scopes.pop().__exit__(None, None, None)
            elif step.startswith("enter"):
                where = connection if step.endswith("here") else None
                scopes.append(actor("user", number, connection=where).__enter__())
    finally:
        for scope in reversed(scopes):
            scope.__exit__(None, None, None)


def use_pool(pool: ConnectionPool[Any], steps: list[str]) -> None:
    with actor("user", "outer"), pool.connection() as connection:
        do(steps, connection, connection.execute)


def use_engine(engine: Engine, steps: list[str]) -> None:
    def run(connection: Connection) -> None:
        do(steps, connection, lambda statement: connection.execute(text(statement)))

    with actor("user", "outer"), engine.connect() as connection:
        run(connection)


@pytest.mark.parametrize("kind", ["pool", "psycopg", "psycopg2", "psycopg null", "psycopg2 null"])
def test_no_work_leaves_its_actor_behind(notes: str, kind: str) -> None:
    with psycopg.connect(notes) as connection:
        connection.execute(INSERT_PSYCOPG, [0])
    if kind == "pool":
        pool: ConnectionPool[Any] = instrument(
            ConnectionPool(notes, min_size=1, max_size=1, open=True)
        )
        with pool:
            _check(lambda steps: use_pool(pool, steps), notes, lambda: _write_by_pool(pool))
        return
    driver, *null = kind.split()
    options: dict[str, Any] = (
        {"poolclass": NullPool} if null else {"pool_size": 1, "max_overflow": 0}
    )
    engine = instrument(engine_of(notes, driver, **options))
    _check(lambda steps: use_engine(engine, steps), notes, lambda: _write_by_engine(engine))
    engine.dispose()


def _write_by_pool(pool: ConnectionPool[Any]) -> None:
    with pool.connection() as connection:
        connection.execute("update note set body = body || 'x'")


def _write_by_engine(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update note set body = body || 'x'"))


def _check(use: Callable[[list[str]], None], database: str, write: Callable[[], None]) -> None:
    with psycopg.connect(database, autocommit=True) as watcher:
        watcher.execute("update note set body = 'a'")

        @settings(max_examples=sized(25, 200), suppress_health_check=[HealthCheck.too_slow])
        @given(works())
        def property_(steps: list[str]) -> None:
            with suppress(Exception):
                use(steps)
            assert current_actor() is None
            write()
            last = watcher.execute(
                "select actor_type from audit.log where item_type = 'note' order by id desc limit 1"
            ).fetchone()
            assert last == ("database",)

        property_()


# Cancelled at each await.


@types.coroutine
def cancelled_at(coroutine: Coroutine[Any, Any, None], number: int) -> Generator[Any, Any, int]:
    """Run a coroutine and cancel its task at the await of this number, from 1 on.

    Returns how many awaits there were, if it came to its end.
    """
    error: BaseException | None = None
    for count in itertools.count(1):
        try:
            awaited = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration:
            return count - 1
        task = asyncio.current_task()
        if count == number and task is not None:
            task.cancel()
        error = None
        try:
            yield awaited
        except BaseException as thrown:  # noqa: BLE001 (handed on to the coroutine)
            error = thrown
    raise AssertionError


async def _cancelled_everywhere(
    work: Callable[[int], Coroutine[Any, Any, None]], write: Callable[[int], Awaitable[None]]
) -> int:
    """Cancel `work` at each of its awaits in turn, with a write by nobody after each."""
    for number in itertools.count(1):

        async def run(at: int = number) -> int:
            return await cancelled_at(work(at), at)

        task = asyncio.create_task(run())
        with suppress(asyncio.CancelledError):
            if await task < number:
                return number
        await write(number)
    raise AssertionError


@pytest.mark.parametrize("is_autocommit", [False, True])
def test_a_task_cancelled_at_any_await_of_psycopg(notes: str, is_autocommit: bool) -> None:
    async def main() -> int:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            notes, min_size=1, max_size=1, open=False, kwargs={"autocommit": is_autocommit}
        )
        async with instrument(pool):

            async def work(number: int) -> None:
                async with (
                    actor("user", number),
                    pool.connection() as connection,
                    connection.transaction(),
                ):
                    await connection.execute(INSERT_PSYCOPG, [number])
                    async with actor("inner", number, connection=connection):
                        await connection.execute(INSERT_PSYCOPG, [10_000 + number])
                    await connection.execute("select 1")

            async def write(number: int) -> None:
                async with pool.connection() as connection:
                    await connection.execute(INSERT_PSYCOPG, [1_000 + number])

            return await _cancelled_everywhere(work, write)

    _each_row_is_by_its_own(notes, asyncio.run(main()))


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("null", [False, True])
def test_a_task_cancelled_at_any_await_of_sqlalchemy(notes: str, driver: str, null: bool) -> None:
    async def main() -> int:
        options: dict[str, Any] = (
            {"poolclass": NullPool} if null else {"pool_size": 1, "max_overflow": 0}
        )
        engine = instrument(async_engine_of(notes, driver, **options))

        async def work(number: int) -> None:
            async with actor("user", number), engine.begin() as connection:
                await connection.execute(INSERT, {"id": number})
                async with actor("inner", number, connection=connection):
                    await connection.execute(INSERT, {"id": 10_000 + number})
                await connection.execute(text("select 1"))

        async def write(number: int) -> None:
            async with engine.begin() as connection:
                await connection.execute(INSERT, {"id": 1_000 + number})

        try:
            return await _cancelled_everywhere(work, write)
        finally:
            await engine.dispose()

    _each_row_is_by_its_own(notes, asyncio.run(main()))


def _each_row_is_by_its_own(database: str, count: int) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "select item_id::int, actor_type, actor_id from audit.log where item_type = 'note'"
        ).fetchall()
    assert count > 5
    assert sum(note > 1_000 and note < 10_000 for note, *_ in rows) == count - 1
    for note, kind, name in rows:
        if note < 1_000:
            assert (kind, name) == ("user", str(note))
        elif note > 10_000:
            assert (kind, name) == ("inner", str(note - 10_000))
        else:
            assert (kind, name) == ("database", "postgres")


# Timeouts, and connections that break.


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_timeout_leaves_no_actor_behind(notes: str, driver: str) -> None:
    async def main() -> None:
        engine = instrument(async_engine_of(notes, driver, pool_size=1, max_overflow=0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), actor("user", 1), engine.begin() as connection:
                await connection.execute(text("select pg_sleep(60)"))
        await _write(engine, 2)
        async with actor("user", 3), engine.connect() as connection:
            await connection.execute(text("set local statement_timeout = 20"))
            with pytest.raises(DBAPIError, match="statement timeout"):
                await connection.execute(text("select pg_sleep(60)"))
        await _write(engine, 4)
        await engine.dispose()

    asyncio.run(main())
    assert writers(notes) == [NOBODY] * 2


async def _write(engine: AsyncEngine, note: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(INSERT, {"id": note})


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_broken_connection_leaves_no_actor_behind(notes: str, driver: str) -> None:
    engine = instrument(engine_of(notes, driver, pool_size=1, max_overflow=0))
    statement = text("select pg_terminate_backend(pg_backend_pid())")
    for note, has_block in enumerate((False, True)):
        with actor("user", 1), engine.connect() as connection:
            block = actor("user", 2, connection=connection) if has_block else nullcontext()
            with pytest.raises(DBAPIError), block:
                connection.execute(statement)
        with engine.begin() as connection:
            connection.execute(INSERT, {"id": note})
    engine.dispose()
    assert writers(notes) == [NOBODY] * 2


def test_a_broken_connection_of_a_pool_leaves_no_actor_behind(notes: str) -> None:
    pool: ConnectionPool[Any] = instrument(
        ConnectionPool(notes, min_size=1, max_size=1, open=False)
    )
    with pool:
        lost = pytest.raises(psycopg.OperationalError)
        with lost, actor("user", 1), pool.connection() as connection:
            connection.execute("select pg_terminate_backend(pg_backend_pid())")
        with pool.connection() as connection:
            connection.execute(INSERT_PSYCOPG, [1])
    assert writers(notes) == [NOBODY]


# Many at once.

TASKS = 2_000


def test_many_tasks_on_a_pool_of_ten(notes: str) -> None:
    async def main() -> None:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            notes, min_size=10, max_size=10, timeout=120, open=False
        )
        async with instrument(pool):

            async def work(number: int) -> None:
                async with actor("user", number), pool.connection() as connection:
                    await connection.execute(INSERT_PSYCOPG, [number])

            await asyncio.gather(*map(work, range(TASKS)))

    asyncio.run(main())
    _each_task_wrote_as_itself(notes)


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_many_tasks_on_an_engine_of_ten(notes: str, driver: str) -> None:
    async def main() -> None:
        engine = instrument(
            async_engine_of(notes, driver, pool_size=10, max_overflow=0, pool_timeout=120)
        )

        async def work(number: int) -> None:
            async with actor("user", number), engine.begin() as connection:
                await connection.execute(INSERT, {"id": number})

        await asyncio.gather(*map(work, range(TASKS)))
        await engine.dispose()

    asyncio.run(main())
    _each_task_wrote_as_itself(notes)


def _each_task_wrote_as_itself(database: str) -> None:
    with psycopg.connect(database) as connection:
        counts = connection.execute(
            "select count(*), count(*) filter (where actor_type = 'user' and actor_id = item_id)"
            " from audit.log where item_type = 'note'"
        ).fetchone()
    assert counts == (TASKS, TASKS)
