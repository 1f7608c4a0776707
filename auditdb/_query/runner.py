"""Runs statements on whatever connection the application has: one way for sync and async."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

import psycopg
import sqlalchemy
from psycopg import sql
from psycopg.rows import tuple_row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from auditdb.errors import log_translated

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SyncReader: TypeAlias = (
    "psycopg.Connection[Any] | sqlalchemy.Connection | Session | scoped_session[Any]"
)
"""What a helper reads through at once."""
AsyncReader: TypeAlias = (
    "psycopg.AsyncConnection[Any] | AsyncConnection | AsyncSession | async_scoped_session[Any]"
)
"""What a helper reads through when it is awaited."""

_SYNC = (psycopg.Connection, sqlalchemy.Connection, Session, scoped_session)
_ASYNC = (psycopg.AsyncConnection, AsyncConnection, AsyncSession, async_scoped_session)
_ACCEPTED = (
    "a Connection or AsyncConnection of psycopg, or a Connection, Session, scoped_session, "
    "AsyncConnection, AsyncSession or async_scoped_session of SQLAlchemy"
)
# A name after one colon; two are a cast.
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with parameters written as :name, and their values: str or int, cast in it.

    The casts make the drivers agree: each has its own idea of the type of a bare parameter.
    """

    text: str
    values: dict[str, str | int]

    def with_values(self) -> sql.Composed:
        """Return the statement with its values in it, for COPY, which takes no parameters."""
        # The pattern has one group: what is odd is the name of a parameter.
        parts = enumerate(_PARAMETER.split(self.text))
        return sql.Composed(
            [sql.Literal(self.values[part]) if n % 2 else sql.SQL(part) for n, part in parts]
        )


if TYPE_CHECKING:
    ResultRow = Sequence[Any]
    Reading = Generator[Query, Sequence[ResultRow], T]
    """Yields queries, is sent the rows of each, and returns what they amount to."""


class Helper(Protocol[P, T_co]):
    """A function that reads through a connection of any kind."""

    @overload
    def __call__(self, conn: SyncReader, /, *args: P.args, **kwargs: P.kwargs) -> T_co: ...
    @overload
    def __call__(
        self, conn: AsyncReader, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T_co]: ...


def helper(read: Callable[P, Reading[T]]) -> Helper[P, T]:
    """Make a function of queries one that takes a connection first and runs them through it.

    Through a synchronous connection it returns the result, through an asynchronous one an awaitable
    of it. It raises TypeError for what is no connection, and the errors of the database as
    AuditError: SchemaMissing where there is no log, SchemaBehind where it is another version's.
    """

    @wraps(read)
    def run(conn: Any, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        if isinstance(conn, _SYNC):
            return _run(conn, read(*args, **kwargs))
        if isinstance(conn, _ASYNC):
            return _run_async(conn, read(*args, **kwargs))
        kind = type(conn)
        raise TypeError(
            f"{read.__name__}() reads through {_ACCEPTED}; this is "
            f"{kind.__module__}.{kind.__qualname__}."
        )

    own = inspect.signature(read)
    first = inspect.Parameter("conn", inspect.Parameter.POSITIONAL_ONLY)
    run.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[first, *own.parameters.values()]
    )
    return cast("Helper[P, T]", run)


def _run(conn: Any, reading: Reading[T]) -> T:
    with log_translated():
        try:
            query = next(reading)
            while True:
                query = reading.send(_rows(conn, query))
        except StopIteration as done:
            return cast("T", done.value)


async def _run_async(conn: Any, reading: Reading[T]) -> T:
    with log_translated():
        try:
            query = next(reading)
            while True:
                query = reading.send(await _rows_async(conn, query))
        except StopIteration as done:
            return cast("T", done.value)


def _rows(conn: Any, query: Query) -> Sequence[ResultRow]:
    if not isinstance(conn, psycopg.Connection):
        return cast(
            "Sequence[ResultRow]", conn.execute(sqlalchemy.text(query.text), query.values).all()
        )
    # A cursor of psycopg's own: the connection may have been given another class, or rows that
    # are no tuples. A statement that is not prepared is planned for the values at hand.
    with psycopg.Cursor(conn, row_factory=tuple_row) as cursor:
        cursor.execute(_for_psycopg(query.text), query.values, prepare=False)
        return cursor.fetchall()


async def _rows_async(conn: Any, query: Query) -> Sequence[ResultRow]:
    if not isinstance(conn, psycopg.AsyncConnection):
        found = await conn.execute(sqlalchemy.text(query.text), query.values)
        return cast("Sequence[ResultRow]", found.all())
    async with psycopg.AsyncCursor(conn, row_factory=tuple_row) as cursor:
        await cursor.execute(_for_psycopg(query.text), query.values, prepare=False)
        return await cursor.fetchall()


def _for_psycopg(text: str) -> bytes:
    return _PARAMETER.sub(r"%(\1)s", text.replace("%", "%%")).encode()
