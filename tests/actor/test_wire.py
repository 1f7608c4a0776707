"""What an actor costs: the messages that each driver sends, read on the wire."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import Actor, actor, request_scope
from tests.support.actors import (
    INSERT,
    INSERT_PSYCOPG,
    Write,
    WriteAsync,
    async_engine_of,
    create_notes,
    engine_of,
    writers,
)
from tests.support.proxy import TURNS, Wire, proxy_of, round_trips

Message = tuple[bytes, bytes]

# Round trips of begin, one statement, commit: without auditdb, with an actor, without an actor.
# The documentation has this table.
ROUND_TRIPS = {
    "psycopg": (3, 3, 3),
    "psycopg async": (3, 3, 3),
    "SQLAlchemy with psycopg": (3, 3, 3),
    "SQLAlchemy with psycopg async": (3, 3, 3),
    "SQLAlchemy with psycopg2": (3, 4, 3),
    "SQLAlchemy with asyncpg": (3, 4, 3),
}


@pytest.fixture
def notes(database: str) -> str:
    """The URL of a database whose table note is tracked."""
    create_notes(database)
    return database


@contextmanager
def _opened(kind: str, url: str, taught: Callable[[Any], Any]) -> Iterator[Write]:
    """Give a function that writes a note in a transaction, on a connection that stays."""
    if kind == "psycopg":
        with closing(taught(psycopg.connect(url))) as connection:

            def write(note: int) -> None:
                connection.execute(INSERT_PSYCOPG, [note])
                connection.commit()

            yield write
    else:
        engine = taught(engine_of(url, kind.split()[-1], pool_reset_on_return=None))
        with engine.connect() as own:

            def write_by_engine(note: int) -> None:
                with own.begin():
                    own.execute(INSERT, {"id": note})

            yield write_by_engine
        engine.dispose()


@asynccontextmanager
async def _opened_async(
    kind: str, url: str, taught: Callable[[Any], Any]
) -> AsyncIterator[WriteAsync]:
    if kind == "psycopg async":
        async with taught(await psycopg.AsyncConnection.connect(url)) as connection:

            async def write(note: int) -> None:
                await connection.execute(INSERT_PSYCOPG, [note])
                await connection.commit()

            yield write
    else:
        engine = taught(async_engine_of(url, kind.split()[2]))
        async with engine.connect() as own:

            async def write_by_engine(note: int) -> None:
                async with own.begin():
                    await own.execute(INSERT, {"id": note})

            yield write_by_engine
        await engine.dispose()


def _sent(
    kind: str, database: str, taught: Callable[[Any], Any], who: Actor | None
) -> list[Message]:
    """Return what the third of three transactions sent, when nothing is done for the first time."""
    sent: list[Message] = []

    def by() -> Any:
        return request_scope(who, {}) if who else nullcontext()

    def keep(wire: Wire) -> None:
        # asyncpg counts its statements through all connections of a process.
        sent[:] = [(kind, re.sub(rb"_stmt_\w+", b"", content)) for kind, content in wire.taken()]

    async def run_async(url: str, wire: Wire, notes: list[int]) -> None:
        async with _opened_async(kind, url, taught) as write:
            for note in notes:
                wire.taken()
                with by():
                    await write(note)
                keep(wire)

    with psycopg.connect(database) as connection:
        connection.execute("delete from note")
    with proxy_of(database) as (url, wire):
        if kind.endswith(("async", "asyncpg")):
            asyncio.run(run_async(url, wire, [1, 2, 3]))
        else:
            with _opened(kind, url, taught) as write:
                for note in (1, 2, 3):
                    wire.taken()
                    with by():
                        write(note)
                    keep(wire)
    return sent


def _untaught(target: Any) -> Any:
    return target


@pytest.mark.parametrize("kind", ROUND_TRIPS)
def test_what_an_actor_costs(notes: str, kind: str) -> None:
    plain = _sent(kind, notes, _untaught, None)
    by_actor = _sent(kind, notes, instrument, Actor("user", "7"))
    by_nobody = _sent(kind, notes, instrument, None)
    assert (round_trips(plain), round_trips(by_actor), round_trips(by_nobody)) == ROUND_TRIPS[kind]
    assert by_nobody == plain, "without an actor, the same messages are sent"
    assert writers(notes).count("user:7") == 3


@pytest.mark.parametrize("kind", ["psycopg", "SQLAlchemy with psycopg"])
def test_a_begin_and_its_actor_are_one_message(notes: str, kind: str) -> None:
    first, *_ = _sent(kind, notes, instrument, Actor("user", "it's \\"))
    assert first[0] == b"Q"
    begin, _, assignment = first[1].rstrip(b"\0").partition(b"; ")
    assert begin == b"BEGIN"
    assert assignment.startswith(b"select pg_catalog.set_config('audit.actor', ")
    assert b" E'\x1fuser\x1fit''s \\\\\x1f'" in assignment


def test_in_a_pipeline_a_begin_and_its_actor_are_sent_together(notes: str) -> None:
    with proxy_of(notes) as (url, wire), closing(instrument(psycopg.connect(url))) as connection:
        wire.taken()
        with actor("user", 1), connection.pipeline():
            connection.execute("select 1")
            connection.commit()
        messages = wire.taken()
    # How many synchronizations a pipeline makes depends on how soon the answers come.
    first = next(n for n, (kind, _) in enumerate(messages) if kind in TURNS)
    parsed = [text.split(b"\0")[1] for kind, text in messages[:first] if kind == b"P"]
    assert [text[:28] for text in parsed] == [b"BEGIN", b"select pg_catalog.set_config"]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_in_autocommit_mode_an_actor_costs_nothing(notes: str, driver: str) -> None:
    def sent(who: Any) -> list[Message]:
        with proxy_of(notes) as (url, wire):
            engine = instrument(engine_of(url, driver, isolation_level="AUTOCOMMIT"))
            with engine.connect() as connection:
                wire.taken()
                with who:
                    connection.execute(text("select 1"))
                    messages = wire.taken()
            engine.dispose()
        return messages

    assert sent(actor("user", 1)) == sent(nullcontext())
