"""Every kind of connection that the query helpers read through, behind one function."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import sqlalchemy
from psycopg import conninfo
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool


@contextmanager
def engine(url: str, driver: str) -> Iterator[sqlalchemy.Engine]:
    """Give an engine for a database through `driver`; it is disposed of in the end."""
    made = sqlalchemy.create_engine(with_driver(url, driver), poolclass=NullPool)
    try:
        yield made
    finally:
        made.dispose()


@asynccontextmanager
async def async_engine(url: str, driver: str) -> AsyncIterator[AsyncEngine]:
    """Give an asynchronous engine for a database through `driver`."""
    if driver == "asyncpg":
        # asyncpg does not know libpq's options.
        parts = conninfo.conninfo_to_dict(url)
        names = {"host": "host", "port": "port", "user": "user", "dbname": "database"}
        arguments = {ours: parts[theirs] for theirs, ours in names.items() if theirs in parts}
        made = create_async_engine(
            "postgresql+asyncpg://",
            connect_args={**arguments, "password": parts.get("password")},
            poolclass=NullPool,
        )
    else:
        made = create_async_engine(with_driver(url, driver), poolclass=NullPool)
    try:
        yield made
    finally:
        await made.dispose()


def with_driver(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


@contextmanager
def reader(url: str, kind: str) -> Iterator[Any]:
    """Give a synchronous reader of a kind, such as "psycopg2 session"."""
    driver, _, layer = kind.partition(" ")
    if not layer:
        with psycopg.connect(url) as connection:
            yield connection
        return
    with engine(url, driver) as made:
        if layer == "connection":
            with made.connect() as connected:
                yield connected
        elif layer == "session":
            with Session(made) as session:
                yield session
        else:
            scoped = scoped_session(sessionmaker(made))
            try:
                yield scoped
            finally:
                scoped.remove()


@asynccontextmanager
async def async_reader(url: str, kind: str) -> AsyncIterator[Any]:
    """Give an asynchronous reader of a kind, such as "asyncpg session"."""
    driver, _, layer = kind.partition(" ")
    if not layer:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            yield connection
        return
    async with async_engine(url, driver) as made:
        if layer == "connection":
            async with made.connect() as connected:
                assert isinstance(connected, AsyncConnection)
                yield connected
        elif layer == "session":
            async with AsyncSession(made) as session:
                yield session
        else:
            scoped = async_scoped_session(async_sessionmaker(made), asyncio.current_task)
            try:
                yield scoped
            finally:
                await scoped.remove()


SYNC = [
    "psycopg",
    "psycopg connection",
    "psycopg session",
    "psycopg scoped_session",
    "psycopg2 connection",
    "psycopg2 session",
]
ASYNC = [
    "psycopg",
    "psycopg connection",
    "psycopg session",
    "psycopg scoped_session",
    "asyncpg connection",
    "asyncpg session",
    "asyncpg scoped_session",
]
KINDS = [*(f"sync {kind}" for kind in SYNC), *(f"async {kind}" for kind in ASYNC)]
Asked = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def ask(url: str, kind: str, *questions: Asked) -> list[Any]:
    """Return the answers of helpers, through one connection of a kind in KINDS."""
    way, _, which = kind.partition(" ")
    if way == "sync":
        with reader(url, which) as conn:
            return [helper(conn, *args, **named) for helper, args, named in questions]

    async def answers() -> list[Any]:
        async with async_reader(url, which) as conn:
            return [await helper(conn, *args, **named) for helper, args, named in questions]

    return asyncio.run(answers())
