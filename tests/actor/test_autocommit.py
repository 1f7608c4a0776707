"""In autocommit mode a write that would lose the actor is refused, and all else still works."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import actor
from auditdb._actor.writes import may_write
from auditdb.errors import NoTransaction
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

HINT = r"autocommit mode, outside a transaction.*\n.*connection\.transaction\(\).*engine\.exec"


@pytest.fixture(scope="module")
def _notes(server: Server, template: str) -> Iterator[str]:
    with notes_database(server, template) as url:
        yield url


@pytest.fixture
def notes(_notes: str) -> str:
    """The URL of a database whose table note is tracked, and empty."""
    return emptied(_notes)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into t values (1)",
        "  UPDATE t set x = 1",
        "\n\tdelete from t",
        "merge into t using u on true when matched then delete",
        "truncate t",
        "call p()",
        "do $$ begin end $$",
        "execute prepared(1)",
        "begin",
        "BEGIN; insert into t values (1)",
        "start   transaction read write",
        "-- a comment\ninsert into t values (1)",
        "/* one */ /* two */insert into t values (1)",
        "/* a /* nested /* deeper */ one */ select */ insert into t values (1)",
        "-- it's\ninsert into t values (1)",
        "select 1; insert into t values (1)",
        "select '--'; delete from t",
        "select '/*'; delete from t -- */",
        r"select e'\'', ';'; delete from t",
        "select $a$ ' $a$; delete from t",
        'select 1 as "--"; delete from t',
        "with a as (insert into t values (1) returning *) select * from a",
        "with a as (select 1) insert into t select * from a",
        "with a as materialized\n(\n  update t set x = 1 returning *) table a",
        "with recursive a (n) as (select 1) delete from t using a",
        "with a as (with b as (delete from t returning *) select * from b) select * from a",
        "copy t from stdin",
        "copy t (a, b) from stdin (format csv)",
        "copy \"t\" from '/tmp/t'",
        "copy t from program 'cat'",
        "copy (insert into t values (1) returning *) to stdout",
        "copy (with a as (delete from t returning *) select * from a) to stdout",
        "explain analyze insert into t values (1)",
        "explain (costs off, analyze) update t set x = 1",
        "explain analyse verbose delete from t",
        "explain analyze with a as (delete from t returning *) select * from a",
        "explain analyze execute prepared",
    ],
)
def test_a_statement_that_may_write_is_known(statement: str) -> None:
    assert may_write(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        ";",
        "select 1",
        "select * from t for update",
        "select * from (t) for no key update",
        "with a as (select * from t for update) select * from a",
        "with a as (select 'insert into t', \"delete\" from u) select * from a",
        "with a as (select updated_at, last_update from t) select * from a",
        "select 'x; insert into t values (1)'",
        "select $$; insert into t values (1)$$, $a$; delete from t $a$",
        "select 1 -- ; insert into t values (1)",
        "select 1 /* ; insert /* ; update */ ; delete */",
        'select 1 as "; insert into t"',
        "values (1)",
        "table inserts",
        "show transaction_isolation",
        "set search_path = update",
        "vacuum t",
        "analyze t",
        "listen channel",
        "notify channel, 'insert'",
        "copy t to stdout",
        "copy (select * from t) to stdout",
        "copy (select a from t where b = 'x') to program 'insert'",
        "explain insert into t values (1)",
        "explain (costs off) delete from t",
        "explain analyze select * from t for update",
        "explain analyze select * from t for no key update",
        "create table t (x int)",
        "create index concurrently on t (x)",
        "prepare p as insert into t values (1)",
        "deallocate all",
        "commit",
        "inserted",
    ],
)
def test_a_statement_that_only_reads_is_known(statement: str) -> None:
    assert not may_write(statement)


@pytest.mark.parametrize(
    "query",
    [
        INSERT_PSYCOPG,
        INSERT_PSYCOPG.encode(),
        sql.SQL("insert into {} (id) values (%s)").format(sql.Identifier("note")),
        sql.SQL("/* one */ insert into note (id) values (%s)"),
    ],
)
def test_writes_in_psycopg_are_refused(notes: str, query: Any) -> None:
    with closing(instrument(psycopg.connect(notes, autocommit=True))) as connection:
        with actor("user", 7), connection.cursor() as cursor:
            with pytest.raises(NoTransaction, match=HINT):
                connection.execute(query, [1])
            with pytest.raises(NoTransaction, match=HINT):
                cursor.execute(query, [1])
            with pytest.raises(NoTransaction, match=HINT):
                cursor.executemany(query, [[1]])
            with pytest.raises(NoTransaction, match=HINT):
                list(cursor.stream(query, [1]))
            with (
                pytest.raises(NoTransaction, match=HINT),
                cursor.copy("copy note (id) from stdin") as copy,
            ):
                copy.write_row((1,))
            with connection.pipeline():
                connection.execute("select 1")
                with pytest.raises(NoTransaction, match=HINT):
                    connection.execute(query, [1])
            with connection.transaction():
                cursor.execute(query, [2])
        connection.execute(query, [3])
    assert writers(notes) == ["user:7", NOBODY]


def test_writes_in_async_psycopg_are_refused(notes: str) -> None:
    async def main() -> None:
        plain = await psycopg.AsyncConnection.connect(notes, autocommit=True)
        async with instrument(plain) as connection:
            async with actor("user", 7), connection.cursor() as cursor:
                with pytest.raises(NoTransaction, match=HINT):
                    await connection.execute(INSERT_PSYCOPG, [1])
                with pytest.raises(NoTransaction, match=HINT):
                    await cursor.executemany(INSERT_PSYCOPG, [[1]])
                with pytest.raises(NoTransaction, match=HINT):
                    _ = [row async for row in cursor.stream(INSERT_PSYCOPG, [1])]
                with pytest.raises(NoTransaction, match=HINT):
                    async with cursor.copy("copy note (id) from stdin"):
                        raise AssertionError
                async with connection.transaction():
                    await cursor.execute(INSERT_PSYCOPG, [2])
            await connection.execute(INSERT_PSYCOPG, [3])

    asyncio.run(main())
    assert writers(notes) == ["user:7", NOBODY]


def test_what_does_not_write_works_in_psycopg(notes: str) -> None:
    connection = instrument(psycopg.connect(notes, autocommit=True))
    with closing(connection), actor("user", 7), connection.cursor() as cursor:
        for statement in ("vacuum note", "set work_mem = '8MB'", "listen here", "analyze note"):
            connection.execute(statement)
        with connection.pipeline():
            assert connection.execute("select 1").fetchone() == (1,)
        with cursor.copy("copy note to stdout") as copy:
            assert list(copy) == []
        assert list(cursor.stream("select 1")) == [(1,)]
        with connection.cursor("rows", withhold=True) as rows:
            rows.execute("select generate_series(1, 3)")
            assert rows.fetchone() == (1,)


@pytest.mark.parametrize("is_autocommit", [True, False])
def test_the_checks_of_a_pool_work(notes: str, is_autocommit: bool) -> None:
    options = {"autocommit": is_autocommit}

    async def main() -> None:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            notes, kwargs=options, check=AsyncConnectionPool.check_connection, open=False
        )
        async with instrument(pool), actor("user", 2), pool.connection() as connection:
            async with connection.transaction():
                await connection.execute(INSERT_PSYCOPG, [2])
            await pool.check()

    sync: ConnectionPool[Any] = ConnectionPool(
        notes, kwargs=options, check=ConnectionPool.check_connection, open=False
    )
    with instrument(sync), actor("user", 1):
        for _ in range(2):  # the second time, the connection is a taught one
            with sync.connection() as connection, connection.transaction():
                connection.execute("insert into note (id) values (1) on conflict do nothing")
        sync.check()
    asyncio.run(main())
    assert writers(notes) == ["user:1", "user:2"]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_writes_through_sqlalchemy_are_refused(notes: str, driver: str) -> None:
    engine = instrument(engine_of(notes, driver, isolation_level="AUTOCOMMIT", pool_pre_ping=True))
    plain = instrument(engine_of(notes, driver, pool_pre_ping=True))
    derived = plain.execution_options(isolation_level="AUTOCOMMIT")
    for own in (engine, derived):
        with actor("user", 7):
            _refused(own)
    with plain.connect() as connection, actor("user", 7):
        connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(NoTransaction, match=HINT):
            connection.execute(INSERT, {"id": 1})
    _with_a_transaction(engine)
    with engine.begin() as connection:
        connection.execute(INSERT, {"id": 9})
    for own in (engine, plain):
        own.dispose()
    assert writers(notes) == ["user:7", "user:8", NOBODY]


def _refused(engine: Engine) -> None:
    for _ in range(2):  # the second time, the pool pings
        with engine.begin() as connection:
            with pytest.raises(NoTransaction, match=HINT):
                connection.execute(INSERT, {"id": 1})
            with pytest.raises(NoTransaction, match=HINT):
                connection.execute(INSERT, [{"id": 1}, {"id": 2}])
            connection.execute(text("vacuum note"))
            assert connection.scalar(text("select count(*) from note")) == 0
    with Session(engine) as session, pytest.raises(NoTransaction, match=HINT):
        session.execute(INSERT, {"id": 1})


def _with_a_transaction(engine: Engine) -> None:
    """Write as the hint of the error says."""
    transactional = engine.execution_options(isolation_level="READ COMMITTED")
    with actor("user", 7), transactional.begin() as connection:
        connection.execute(INSERT, {"id": 7})
    with actor("user", 8), Session(transactional) as session, session.begin():
        session.execute(INSERT, {"id": 8})


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_writes_through_async_sqlalchemy_are_refused(notes: str, driver: str) -> None:
    async def main() -> None:
        engine = instrument(
            async_engine_of(notes, driver, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        )
        for _ in range(2):
            async with actor("user", 7), engine.connect() as connection:
                with pytest.raises(NoTransaction, match=HINT):
                    await connection.execute(INSERT, {"id": 1})
                await connection.execute(text("vacuum note"))
        transactional = engine.execution_options(isolation_level="READ COMMITTED")
        async with actor("user", 7), transactional.begin() as connection:
            await connection.execute(INSERT, {"id": 1})
        async with engine.begin() as connection:
            await connection.execute(INSERT, {"id": 2})
        await engine.dispose()

    asyncio.run(main())
    assert writers(notes) == ["user:7", NOBODY]
