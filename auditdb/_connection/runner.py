"""Runs statements on whatever connection the application has: one way for sync and async."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

from auditdb._connection import kinds
from auditdb._connection.qualified import qualified
from auditdb.errors import AuditError, log_translated

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Callable,
        Coroutine,
        Generator,
        Iterator,
        Sequence,
    )

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
"""What a parameter of a Query looks like: a name after one colon; two are a cast."""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with parameters written as :name, and their values: str or int, cast in it.

    The casts make the drivers agree: each has its own idea of the type of a bare parameter.
    """

    text: str
    values: dict[str, str | int]
    is_exact: bool = False
    """Whether the text is sent as it is: its names are in full, or the search_path is set."""

    @property
    def sent(self) -> str:
        """The text as it is sent, but for how the driver marks its parameters."""
        return self.text if self.is_exact else qualified(self.text)


if TYPE_CHECKING:
    ResultRow = Sequence[Any]
    Reading = Generator[Query, Sequence[ResultRow], T]
    """Yields queries, is sent the rows of each, and returns what they amount to."""
    Streaming = Generator[Query | tuple[T, ...], Sequence[ResultRow], None]
    """Yields queries, is sent the rows of each, and yields what they amount to in between."""


class Helper(Protocol[P, T_co]):
    """A function that reads through a connection of any kind."""

    @overload
    def __call__(self, conn: kinds.Sync, /, *args: P.args, **kwargs: P.kwargs) -> T_co: ...
    @overload
    def __call__(
        self, conn: kinds.Async, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T_co]: ...


class IteratorHelper(Protocol[P, T_co]):
    """A function that reads one thing after the other through a connection of any kind."""

    @overload
    def __call__(
        self, conn: kinds.Sync, /, *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T_co]: ...
    @overload
    def __call__(
        self, conn: kinds.Async, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[T_co]: ...


def helper(read: Callable[P, Reading[T]]) -> Helper[P, T]:
    """Make a function of queries one that takes a connection first and runs them through it.

    Through a synchronous connection it returns the result, through an asynchronous one an awaitable
    of it. It raises TypeError for what is no connection, and the errors of the database as
    AuditError: SchemaMissing where there is no log, SchemaBehind where it is another version's.
    """
    return cast("Helper[P, T]", _taking_connection(read, _run, _run_async))


def iterator(read: Callable[P, Streaming[T]]) -> IteratorHelper[P, T]:
    """Make a function of queries one that takes a connection first and iterates through it.

    Through a synchronous connection it returns an iterator, through an asynchronous one an
    asynchronous iterator. Errors are those of helper(); what can be refused without asking the
    database is refused by the call, not by the first step.
    """
    return cast("IteratorHelper[P, T]", _taking_connection(read, _iterate, _iterate_async))


def _taking_connection(
    read: Callable[P, Any],
    run: Callable[[kinds.Sync, Any], Any],
    run_async: Callable[[kinds.Async, Any], Any],
) -> Any:
    @wraps(read)
    def called(conn: object, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        if kinds.is_sync(conn):
            return run(conn, read(*args, **kwargs))
        if kinds.is_async(conn):
            return run_async(conn, read(*args, **kwargs))
        kind = type(conn)
        raise TypeError(
            f"{read.__name__}() reads through {kinds.ACCEPTED}; this is "
            f"{kind.__module__}.{kind.__qualname__}."
        )

    own = inspect.signature(read)
    first = inspect.Parameter("conn", inspect.Parameter.POSITIONAL_ONLY)
    called.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[first, *own.parameters.values()]
    )
    return called


def _run(conn: kinds.Sync, reading: Reading[T]) -> T:
    try:
        query = next(reading)
        while True:
            try:
                rows = _rows(conn, query)
            except AuditError as error:
                query = reading.throw(error)
            else:
                query = reading.send(rows)
    except StopIteration as done:
        return cast("T", done.value)


async def _run_async(conn: kinds.Async, reading: Reading[T]) -> T:
    try:
        query = next(reading)
        while True:
            try:
                rows = await _rows_async(conn, query)
            except AuditError as error:
                query = reading.throw(error)
            else:
                query = reading.send(rows)
    except StopIteration as done:
        return cast("T", done.value)


def _iterate(conn: kinds.Sync, streaming: Streaming[T]) -> Iterator[T]:
    def steps(step: Query | tuple[T, ...]) -> Iterator[T]:
        while True:
            rows: Sequence[ResultRow] = ()
            if isinstance(step, Query):
                rows = _rows(conn, step)
            else:
                yield from step
            try:
                step = streaming.send(rows)
            except StopIteration:
                return

    return steps(next(streaming))


def _iterate_async(conn: kinds.Async, streaming: Streaming[T]) -> AsyncIterator[T]:
    async def steps(step: Query | tuple[T, ...]) -> AsyncIterator[T]:
        while True:
            rows: Sequence[ResultRow] = ()
            if isinstance(step, Query):
                rows = await _rows_async(conn, step)
            else:
                for one in step:
                    yield one
            try:
                step = streaming.send(rows)
            except StopIteration:
                return

    return steps(next(streaming))


def _rows(conn: kinds.Sync, query: Query) -> Sequence[ResultRow]:
    with log_translated():
        if not kinds.is_psycopg(conn):
            from sqlalchemy import text

            found: Any = cast("Any", conn).execute(text(query.sent), query.values)
            return cast("Sequence[ResultRow]", found.all() if found.returns_rows else ())
        from psycopg import Cursor
        from psycopg.rows import tuple_row

        # A cursor of psycopg's own: the connection may have been given another class, or rows that
        # are no tuples. A statement that is not prepared is planned for the values at hand.
        with Cursor(conn, row_factory=tuple_row) as cursor:
            cursor.execute(_for_psycopg(query.sent), query.values, prepare=False)
            return cursor.fetchall() if cursor.description else ()


async def _rows_async(conn: kinds.Async, query: Query) -> Sequence[ResultRow]:
    with log_translated():
        if not kinds.is_async_psycopg(conn):
            from sqlalchemy import text

            found: Any = await cast("Any", conn).execute(text(query.sent), query.values)
            return cast("Sequence[ResultRow]", found.all() if found.returns_rows else ())
        from psycopg import AsyncCursor
        from psycopg.rows import tuple_row

        async with AsyncCursor(conn, row_factory=tuple_row) as cursor:
            await cursor.execute(_for_psycopg(query.sent), query.values, prepare=False)
            return await cursor.fetchall() if cursor.description else ()


def _for_psycopg(sent: str) -> bytes:
    return PARAMETER.sub(r"%(\1)s", sent.replace("%", "%%")).encode()
