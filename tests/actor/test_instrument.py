"""What instrument() takes, each kind and driver; what it refuses; and that twice does no more."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncNullConnectionPool, ConnectionPool, NullConnectionPool
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from auditdb._actor import psycopg_hook
from auditdb._actor.instrument import instrument
from auditdb._actor.scope import actor
from tests.support.actors import (
    ASYNC,
    INSERT,
    INSERT_PSYCOPG,
    NOBODY,
    SYNC,
    emptied,
    engine_of,
    notes_database,
    writers,
)
from tests.support.servers import Server


@pytest.fixture(scope="module")
def _notes(server: Server, template: str) -> Iterator[str]:
    with notes_database(server, template) as url:
        yield url


@pytest.fixture
def notes(_notes: str) -> str:
    """The URL of a database whose table note is tracked, and empty."""
    return emptied(_notes)


# What instrument() takes.


@pytest.mark.parametrize("kind", SYNC)
def test_what_is_installed_on_carries_the_actor(notes: str, kind: str) -> None:
    with SYNC[kind](notes) as (write, target):
        write(1)
        with actor("user", 7):
            write(2)
            with actor("user", 8):
                assert instrument(target) is target
                write(3)
            write(4)
        write(5)
    assert writers(notes) == [NOBODY, "user:7", "user:8", "user:7", NOBODY]


@pytest.mark.parametrize("kind", ASYNC)
def test_what_is_installed_on_carries_the_actor_async(notes: str, kind: str) -> None:
    async def main() -> None:
        async with ASYNC[kind](notes) as (write, target):
            await write(1)
            async with actor("user", 7):
                await write(2)
                with actor("user", 8):
                    assert instrument(target) is target
                    await write(3)
                await write(4)
            await write(5)

    asyncio.run(main())
    assert writers(notes) == [NOBODY, "user:7", "user:8", "user:7", NOBODY]


@pytest.mark.parametrize("kind", ["engine psycopg", "engine psycopg2"])
def test_the_log_has_all_of_the_actor(notes: str, kind: str) -> None:
    who = actor("us'er", "7\\", "%s 100% :name é'", reason="it's 5 %", n=[1], path="a\\b")
    with SYNC[kind](notes) as (write, _), who:
        write(1)
    with psycopg.connect(notes) as connection:
        row = connection.execute(
            "select actor_type, actor_id, actor_label, context from audit.events"
            " where item_type = 'note' order by id desc limit 1"
        ).fetchone()
    assert row == (
        "us'er",
        "7\\",
        "%s 100% :name é'",
        {"reason": "it's 5 %", "n": [1], "path": "a\\b"},
    )


@pytest.mark.parametrize("kind", SYNC)
def test_installing_twice_does_no_more(notes: str, kind: str) -> None:
    with SYNC[kind](notes) as (_, target):
        before = _taught(target)
        instrument(target)
        assert _taught(target) == before


def _taught(target: Any) -> Any:
    """Return what instrument() changed: the class of a connection, a method, or listeners."""
    if isinstance(target, psycopg.Connection):
        return type(target)
    if isinstance(target, ConnectionPool):
        return target.getconn
    engine = target if isinstance(target, Engine) else target.kw["bind"]
    names = ("begin", "begin_twophase", "before_cursor_execute")
    return [
        *(list(getattr(engine.dispatch, name)) for name in names),
        list(engine.pool.dispatch.checkout),
    ]


@pytest.mark.parametrize("pool_of", [NullConnectionPool, ConnectionPool])
def test_the_connections_of_any_pool_are_taught(notes: str, pool_of: Any) -> None:
    class Own(psycopg.Connection[Any]):
        pass

    size = 0 if pool_of is NullConnectionPool else 2
    with pool_of(notes, connection_class=Own, min_size=size, max_size=2, open=True) as pool:
        if size:
            pool.wait()  # these connections are there before the pool is installed on
        instrument(pool)
        with actor("user", 7), pool.connection() as first:
            assert isinstance(first, Own)
            first.execute(INSERT_PSYCOPG, [1])
            second = pool.getconn()
            second.execute(INSERT_PSYCOPG, [2])
            second.commit()
            pool.putconn(second)
    assert writers(notes) == ["user:7"] * 2


def test_an_async_null_pool_is_taught(notes: str) -> None:
    async def main() -> None:
        async with (
            AsyncNullConnectionPool(notes, max_size=2, open=False) as pool,
            actor("user", 7),
            instrument(pool).connection() as connection,
        ):
            await connection.execute(INSERT_PSYCOPG, [1])

    asyncio.run(main())
    assert writers(notes) == ["user:7"]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_an_engine_stays_taught_after_dispose_and_with_options(notes: str, driver: str) -> None:
    engine = instrument(engine_of(notes, driver, poolclass=NullPool))
    derived = engine.execution_options(isolation_level="SERIALIZABLE")
    with actor("user", 7):
        for note, own in enumerate((engine, derived)):
            engine.dispose()
            with own.begin() as connection:
                connection.execute(INSERT, {"id": note})
                level = connection.scalar(text("show transaction_isolation"))
                assert level == ("serializable" if own is derived else "read committed")
    assert writers(notes) == ["user:7"] * 2


def test_an_engine_derived_by_options_can_be_installed_on(notes: str) -> None:
    for note, name in enumerate(("psycopg", "psycopg2")):
        derived = instrument(engine_of(notes, name).execution_options(logging_token="x"))
        with actor("user", note), derived.begin() as connection:
            connection.execute(INSERT, {"id": note})
        derived.dispose()
    assert writers(notes) == ["user:0", "user:1"]


def test_all_engines_of_a_sessionmaker_are_taught(notes: str) -> None:
    engines = [engine_of(notes), engine_of(notes, "psycopg2")]
    maker = instrument(sessionmaker(binds={Session: engines[0], Engine: engines[1]}))
    assert isinstance(maker, sessionmaker)
    with actor("user", 7):
        for note, engine in enumerate(engines):
            with engine.begin() as connection:
                connection.execute(INSERT, {"id": note})
            engine.dispose()
    assert writers(notes) == ["user:7"] * 2


def test_a_session_bound_to_a_connection_is_taught(notes: str) -> None:
    engine = engine_of(notes, "psycopg2")
    with engine.connect() as connection:
        instrument(sessionmaker(connection))
        with actor("user", 7), engine.begin() as other:
            other.execute(INSERT, {"id": 1})
    engine.dispose()
    assert writers(notes) == ["user:7"]


@pytest.mark.parametrize(
    "wrong", [None, "postgresql://", Session(), scoped_session(sessionmaker()), Session]
)
def test_what_is_no_target_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="cannot be instrumented: give an engine or sessionmaker"):
        instrument(wrong)


@pytest.mark.parametrize("maker", [sessionmaker(), async_sessionmaker()])
def test_a_sessionmaker_without_an_engine_is_refused(maker: Any) -> None:
    with pytest.raises(ValueError, match="has no engine: instrument the engine itself"):
        instrument(maker)


def test_an_engine_of_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match=r"PostgreSQL's; this engine is for sqlite"):
        instrument(create_engine("sqlite://"))


def test_a_psycopg_that_begins_otherwise_is_refused() -> None:
    class Bare:
        pass

    with pytest.raises(NotImplementedError, match=r"Bare has no _exec_command\(\)"):
        psycopg_hook._taught(Bare)
