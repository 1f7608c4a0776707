"""Teaches engines, connections and pools to put the actor into each transaction they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from auditdb._connection import kinds

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
    from sqlalchemy.orm import sessionmaker

Instrumentable: TypeAlias = (
    "Engine | AsyncEngine | sessionmaker[Any] | async_sessionmaker[Any] | psycopg.Connection[Any] "
    "| psycopg.AsyncConnection[Any] | ConnectionPool[Any] | AsyncConnectionPool[Any]"
)
T = TypeVar("T", bound="Instrumentable")


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
    if kinds.is_engine(target):
        from auditdb._actor import sqlalchemy_hook

        sqlalchemy_hook.teach(target)
    elif kinds.is_async_engine(target):
        instrument(target.sync_engine)
    elif kinds.is_sessionmaker(target):
        for engine in _engines(target):
            instrument(engine)
    elif kinds.is_psycopg(target) or kinds.is_async_psycopg(target):
        from auditdb._actor import psycopg_hook

        psycopg_hook.teach(target)
    elif callable(getattr(target, "getconn", None)):
        from auditdb._actor import psycopg_hook

        psycopg_hook.teach_pool(target)
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
