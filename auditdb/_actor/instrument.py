"""Teaches engines, connections and pools to put the actor into each transaction they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import sessionmaker

from auditdb._actor import actor_setting, psycopg_hook
from auditdb._actor.scope import current_actor

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

Instrumentable: TypeAlias = (
    "Engine | AsyncEngine | sessionmaker[Any] | async_sessionmaker[Any] | psycopg.Connection[Any] "
    "| psycopg.AsyncConnection[Any] | ConnectionPool[Any] | AsyncConnectionPool[Any]"
)
T = TypeVar("T", bound="Instrumentable")

_AWAITED = "auditdb.actor"
"""Where a connection keeps the actor of a two-phase transaction until its first statement."""


def instrument(target: T) -> T:
    """Teach `target` to put the actor into each transaction that it begins; return it.

    Takes an engine or sessionmaker of SQLAlchemy (with any driver for PostgreSQL), or a connection
    or pool of psycopg, each synchronous or not. Once is enough, twice does no harm. A transaction
    without an actor is as before.

    Raises TypeError for anything else, and ValueError for a sessionmaker without an engine or an
    engine of another database.

    >>> from sqlalchemy import create_engine
    >>> engine = instrument(create_engine("postgresql+psycopg://"))
    """
    if isinstance(target, Engine):
        _engine(target)
    elif isinstance(target, AsyncEngine):
        _engine(target.sync_engine)
    elif isinstance(target, sessionmaker | async_sessionmaker):
        for engine in _engines(target):
            instrument(engine)
    elif isinstance(target, psycopg.Connection | psycopg.AsyncConnection):
        psycopg_hook.teach(target)
    elif callable(getattr(target, "getconn", None)):
        _pool(target)
    else:
        raise TypeError(
            f"{type(target).__name__} cannot be instrumented: give an engine or sessionmaker of "
            "SQLAlchemy, or a connection or pool of psycopg."
        )
    return target


def _engines(maker: sessionmaker[Any] | async_sessionmaker[Any]) -> list[Any]:
    bound = [maker.kw.get("bind"), *(maker.kw.get("binds") or {}).values()]
    engines = {id(b): getattr(b, "engine", b) for b in bound if b is not None}
    if not engines:
        raise ValueError("This sessionmaker has no engine: instrument the engine itself.")
    return list(engines.values())


def _engine(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        raise ValueError(
            f"The audit log is PostgreSQL's; this engine is for {engine.dialect.name}."
        )
    if engine.dialect.driver in ("psycopg", "psycopg_async"):
        event.listen(engine, "checkout", _on_checkout)
    else:
        event.listen(engine, "begin", _on_begin)
        event.listen(engine, "begin_twophase", _on_begin_twophase)
        event.listen(engine, "before_cursor_execute", _on_execute)


def _on_checkout(_: Any, record: Any, __: Any) -> None:
    psycopg_hook.teach(record.driver_connection)


def _on_begin(connection: Connection) -> None:
    connection.info.pop(_AWAITED, None)
    who = current_actor()
    if who is not None and not actor_setting.is_autocommit(connection):
        actor_setting.begin(connection, who)


def _on_begin_twophase(connection: Connection, _xid: Any) -> None:
    # The driver begins after this: the actor must wait for the first statement.
    connection.info[_AWAITED] = current_actor()


def _on_execute(
    connection: Connection,
    _cursor: Any,
    statement: str,
    _parameters: Any,
    _context: Any,
    _many: bool,
) -> None:
    awaited = connection.info.pop(_AWAITED, None)
    if awaited is not None:
        actor_setting.begin(connection, awaited)
    if (
        current_actor() is not None
        and actor_setting.is_autocommit(connection)
        and psycopg_hook.may_write(statement)
    ):
        raise actor_setting.no_transaction("This statement")


def _pool(pool: Any) -> None:
    if getattr(pool.getconn, "teaches", False):
        return
    plain = pool.getconn
    if _is_async(pool):

        async def getconn_async(*args: Any, **kwargs: Any) -> Any:
            connection = await plain(*args, **kwargs)
            psycopg_hook.teach(connection)
            return connection

        pool.getconn = getconn_async
    else:

        def getconn(*args: Any, **kwargs: Any) -> Any:
            connection = plain(*args, **kwargs)
            psycopg_hook.teach(connection)
            return connection

        pool.getconn = getconn
    pool.getconn.teaches = True


def _is_async(pool: Any) -> bool:
    return issubclass(pool.connection_class, psycopg.AsyncConnection)
