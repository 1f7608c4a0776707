"""What comes before the first query of a transaction still may: the actor waits for it."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest
from sqlalchemy import text

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import actor
from auditdb._actor.writes import is_query
from tests.support.actors import (
    INSERT,
    INSERT_PSYCOPG,
    NOBODY,
    async_engine_of,
    emptied,
    engine_of,
    notes_database,
    writers,
)
from tests.support.servers import Server

CHOOSE = "set transaction isolation level repeatable read"
SHOW = "show transaction_isolation"
CHOSEN = "repeatable read"
REPEATABLE_READ = psycopg.IsolationLevel.REPEATABLE_READ
Connection = psycopg.Connection


@pytest.fixture(scope="module")
def _notes(server: Server, template: str) -> Iterator[str]:
    with notes_database(server, template) as url:
        yield url


@pytest.fixture
def notes(_notes: str) -> str:
    """The URL of a database whose table note is tracked, and empty."""
    return emptied(_notes)


@pytest.fixture
def connection(notes: str) -> Iterator[Connection]:
    """An instrumented connection of psycopg to the notes."""
    with closing(instrument(psycopg.connect(notes))) as found:
        yield found


def test_a_transaction_may_choose_its_isolation_first(notes: str, connection: Connection) -> None:
    with actor("user", 7):
        connection.execute(f"/* first */ {CHOOSE};")
        assert connection.execute(SHOW).fetchone() == (CHOSEN,)
        connection.execute(INSERT_PSYCOPG, [1])
        connection.commit()
        connection.execute(INSERT_PSYCOPG, [2])
    connection.commit()
    assert writers(notes) == ["user:7"] * 2


def test_it_may_do_so_in_a_pipeline(notes: str, connection: Connection) -> None:
    with actor("user", 7), connection.pipeline():
        connection.execute(CHOOSE)
        shown = connection.execute(SHOW)
        connection.execute(INSERT_PSYCOPG, [1])
        assert shown.fetchone() == (CHOSEN,)
    connection.commit()
    assert writers(notes) == ["user:7"]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_it_may_do_so_behind_sqlalchemy(notes: str, driver: str) -> None:
    engine = instrument(engine_of(notes, driver))
    with actor("user", 7), engine.connect() as connection:
        connection.execute(text(CHOOSE))
        assert connection.scalar(text(SHOW)) == CHOSEN
        connection.execute(INSERT, {"id": 1})
        connection.commit()
        connection.execute(INSERT, {"id": 2})
        connection.commit()
    engine.dispose()
    assert writers(notes) == ["user:7"] * 2


@pytest.mark.parametrize("driver", ["psycopg_async", "asyncpg"])
def test_it_may_do_so_behind_asynchronous_sqlalchemy(notes: str, driver: str) -> None:
    async def main() -> None:
        engine = instrument(async_engine_of(notes, driver))
        with actor("user", 7):
            async with engine.connect() as connection:
                await connection.execute(text(CHOOSE))
                assert await connection.scalar(text(SHOW)) == CHOSEN
                await connection.execute(INSERT, {"id": 1})
                await connection.commit()
        await engine.dispose()

    asyncio.run(main())
    assert writers(notes) == ["user:7"]


def test_the_snapshot_is_taken_by_the_first_query(notes: str, connection: Connection) -> None:
    connection.isolation_level = REPEATABLE_READ
    with actor("user", 7), connection.transaction():
        connection.execute("lock table note in share row exclusive mode nowait")
        connection.execute("set local work_mem = '1MB'")
        with psycopg.connect(notes) as other:
            other.execute("create table later ()")
        assert connection.execute("select to_regclass('later')").fetchone() == ("later",)
        assert connection.execute("select count(*) from later").fetchone() == (0,)
        connection.execute(INSERT_PSYCOPG, [1])
    with psycopg.connect(notes) as other:
        other.execute("drop table later")
    assert writers(notes) == ["user:7"]


def test_a_block_that_sees_one_snapshot_sees_what_was_there_at_its_first_query(
    notes: str, connection: Connection
) -> None:
    connection.isolation_level = REPEATABLE_READ
    with actor("user", 7), connection.transaction():
        with psycopg.connect(notes) as other:
            other.execute(INSERT_PSYCOPG, [1])
        assert connection.execute("select count(*) from note").fetchone() == (1,)


def test_a_savepoint_does_not_take_the_waiting_actor_back(
    notes: str, connection: Connection
) -> None:
    connection.isolation_level = REPEATABLE_READ
    with actor("user", 7), connection.transaction():
        with suppress(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("select 1 / 0")
        connection.execute(INSERT_PSYCOPG, [1])
    engine = instrument(engine_of(notes, "psycopg2"))
    with actor("user", 8), engine.connect() as own:
        own.execute(text(CHOOSE))
        own.begin_nested().rollback()
        own.execute(INSERT, {"id": 2})
        own.commit()
    engine.dispose()
    assert writers(notes) == ["user:7", "user:8"]


def test_an_actor_that_waited_in_vain_is_not_that_of_the_next_transaction(
    notes: str, connection: Connection
) -> None:
    with actor("user", 7):
        connection.execute(CHOOSE)
        connection.rollback()
    connection.execute(INSERT_PSYCOPG, [1])
    connection.commit()
    engine = instrument(engine_of(notes, "psycopg2"))
    with engine.connect() as own:
        with actor("user", 7):
            own.execute(text(CHOOSE))
            own.rollback()
        own.execute(INSERT, {"id": 2})
        own.commit()
    engine.dispose()
    assert writers(notes) == [NOBODY] * 2


def test_a_failed_statement_before_the_first_query_is_the_error_that_is_raised(
    notes: str, connection: Connection
) -> None:
    with actor("user", 7):
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("lock table there_is_none")
        connection.rollback()
        connection.execute(INSERT_PSYCOPG, [1])
        connection.commit()
    assert writers(notes) == ["user:7"]


def test_the_actor_of_a_connection_comes_after_the_one_that_waits(
    notes: str, connection: Connection
) -> None:
    with actor("user", 7):
        connection.execute(CHOOSE)
        with actor("user", 8, connection=connection):
            connection.execute(INSERT_PSYCOPG, [1])
        connection.execute(INSERT_PSYCOPG, [2])
        connection.commit()
    assert writers(notes) == ["user:8", "user:7"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("set local work_mem = '1;2'", False),
        ("  SET TRANSACTION READ ONLY ;\n", False),
        ("lock table note; -- and no more", False),
        ("show all", False),
        ("set local work_mem = '1MB'; insert into note values (1)", True),
        ("settle", True),
        ("select 1", True),
        ("savepoint a", True),
        ("", True),
    ],
)
def test_what_may_be_a_query(statement: str, expected: bool) -> None:
    assert is_query(statement) is expected
