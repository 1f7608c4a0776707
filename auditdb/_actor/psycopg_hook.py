"""Makes connections of psycopg put the actor into the message that begins a transaction."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg import generators, pq, sql

from auditdb._actor import actor_setting, psycopg_setting
from auditdb._actor.scope import current_actor
from auditdb._actor.writes import is_query, may_write
from auditdb.errors import InvalidActor

if TYPE_CHECKING:
    from collections.abc import Generator

    from auditdb._actor.scope import Actor

    Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]


def teach(connection: Connection) -> None:
    """Make `connection` put the actor into each transaction that it begins; twice does no harm."""
    kind: Any = type(connection)
    if not getattr(kind, "teaches_actor", False):
        connection.__class__ = _taught(kind)


def on_checkout(_: Any, record: Any, __: Any) -> None:
    """Teach the connection that a pool of SQLAlchemy gives out."""
    teach(record.driver_connection)


def teach_pool(pool: Any) -> None:
    """Make `pool` teach the connections that it gives out; twice does no harm."""
    if getattr(pool.getconn, "teaches", False):
        return
    plain = pool.getconn
    if _is_async(pool):

        async def getconn_async(*args: Any, **kwargs: Any) -> Any:
            connection = await plain(*args, **kwargs)
            teach(connection)
            return connection

        pool.getconn = getconn_async
    else:

        def getconn(*args: Any, **kwargs: Any) -> Any:
            connection = plain(*args, **kwargs)
            teach(connection)
            return connection

        pool.getconn = getconn
    pool.getconn.teaches = True


def _is_async(pool: Any) -> bool:
    return issubclass(pool.connection_class, psycopg.AsyncConnection)


@functools.cache
def _taught(kind: Any) -> Any:
    """Return a class of connections like `kind`; its generators serve both sync and async."""
    for name in ("_exec_command", "_get_tx_start_command"):
        if not hasattr(kind, name):
            raise NotImplementedError(
                f"psycopg {psycopg.__version__} begins transactions in another way than this "
                f"auditdb knows: {kind.__name__} has no {name}(). Take a version of each that fits."
            )

    class Taught(kind):  # type: ignore[misc]
        __slots__ = ()
        teaches_actor = True
        first_statement: Any = None
        """What a cursor is about to send, where that may begin a transaction."""
        awaited_actor: Actor | None = None
        """The actor of a transaction that has begun, until its first query."""

        # psycopg offers no hook for the begin of a transaction. Every one it makes, for a
        # statement, a block or a cursor, goes through this method; tests say when that changes.
        def _exec_command(
            self, command: Any, result_format: pq.Format = pq.Format.TEXT
        ) -> Generator[Any, Any, Any]:
            plain, connection = super()._exec_command, cast("Any", self)
            if command in (b"COMMIT", b"ROLLBACK"):
                connection.awaited_actor = None
            if command != self._get_tx_start_command():
                yield from _assign_awaited(self, plain)
                return (yield from plain(command, result_format))
            who = current_actor()
            waits = who is not None and _may_wait(self)
            connection.awaited_actor = who if waits else None
            if who is None or waits:
                return (yield from plain(command, result_format))
            self._check_connection_ok()
            return (yield from _begin(self, plain, command, _assignment(self, who)))

        def _start_query(self) -> Generator[Any, Any, None]:
            yield from super()._start_query()
            statement = self.first_statement
            if self.awaited_actor is not None and (
                statement is None or is_query(_text_of(self, statement))
            ):
                yield from _assign_awaited(self, super()._exec_command)

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            cursor: Any = super().cursor(*args, **kwargs)
            kind: Any = type(cursor)
            cursor.__class__ = _guarded(kind)
            return cursor

    return _renamed(Taught, kind)


def _may_wait(connection: Any) -> bool:
    """Return whether the actor of the transaction that begins is to wait for its first query.

    What names it is a query: after it a transaction cannot choose its isolation any more, and one
    that sees a single snapshot sees that of its first query.
    """
    statement = connection.first_statement
    if statement is not None:
        return not is_query(_text_of(connection, statement))
    levels = (psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE)
    return connection.isolation_level in levels


def _assign_awaited(connection: Any, plain: Any) -> Generator[Any, Any, None]:
    who, connection.awaited_actor = connection.awaited_actor, None
    if who is not None and psycopg_setting.is_open(connection):
        yield from plain(_assignment(connection, who))


def _begin(connection: Any, plain: Any, begin: bytes, set_actor: bytes) -> Generator[Any, Any, Any]:
    if connection.pgconn.pipeline_status:
        result = yield from plain(begin)
        yield from plain(set_actor)
        return result
    connection.pgconn.send_query(b"; ".join((begin, set_actor)))
    results = yield from generators.execute(connection.pgconn)
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result, encoding=connection.info.encoding)
    return results[0]


@functools.cache
def _guarded(kind: Any) -> Any:
    """Return a class of cursors like `kind` that write nothing which the actor would miss."""
    if getattr(kind, "guards_actor", False):
        return kind

    class Guarded(kind):  # type: ignore[misc]
        __slots__ = ()
        guards_actor = True

        def _start_query(self, query: Any = None) -> Generator[Any, Any, None]:
            connection: Any = self._conn
            connection.first_statement = query
            try:
                yield from super()._start_query(query)
            finally:
                connection.first_statement = None

        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            _check(self.connection, query)
            return super().execute(query, *args, **kwargs)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            _check(self.connection, query)
            return super().executemany(query, *args, **kwargs)

        def stream(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            _check(self.connection, query)
            return super().stream(query, *args, **kwargs)

        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
            _check(self.connection, statement)
            return super().copy(statement, *args, **kwargs)

    return _renamed(Guarded, kind)


def _renamed(made: Any, kind: Any) -> Any:
    made.__name__, made.__qualname__, made.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    return made


def _assignment(connection: Connection, who: Actor) -> bytes:
    try:
        return psycopg_setting.assignment(who).as_bytes(connection)
    except UnicodeEncodeError as error:
        raise InvalidActor(
            f"The encoding of this connection, {error.encoding}, cannot write this actor.",
            hint="Set client_encoding to UTF8.",
        ) from error


def _check(connection: Any, query: Any) -> None:
    if not connection.autocommit or current_actor() is None or _is_in_transaction(connection):
        return
    if may_write(_text_of(connection, query)):
        raise actor_setting.no_transaction("This statement")


def _text_of(connection: Any, query: Any) -> str:
    statement = query.as_string(connection) if isinstance(query, sql.Composable) else query
    return statement.decode() if isinstance(statement, bytes) else str(statement)


def _is_in_transaction(connection: Any) -> bool:
    status = connection.info.transaction_status
    if status == pq.TransactionStatus.ACTIVE and connection.info.pipeline_status:
        # The server has not answered yet: what counts is the blocks that psycopg has begun.
        return bool(connection._num_transactions)  # noqa: SLF001 (nothing public says it)
    return bool(status != pq.TransactionStatus.IDLE)
