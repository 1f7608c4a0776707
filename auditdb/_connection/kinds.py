"""Which kind of connection this is, told without loading a library that is not loaded yet.

An object of a library can be there only when the library is loaded, so the classes are looked up
among the modules that are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from auditdb.errors import loaded

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy
    from sqlalchemy.ext.asyncio import (
        AsyncConnection,
        AsyncEngine,
        AsyncSession,
        async_scoped_session,
        async_sessionmaker,
    )
    from sqlalchemy.orm import Session, scoped_session, sessionmaker

SyncSQLAlchemy: TypeAlias = "sqlalchemy.Connection | Session | scoped_session[Any]"
AsyncSQLAlchemy: TypeAlias = "AsyncConnection | AsyncSession | async_scoped_session[Any]"
Sync: TypeAlias = "psycopg.Connection[Any] | SyncSQLAlchemy"
"""What is used at once."""
Async: TypeAlias = "psycopg.AsyncConnection[Any] | AsyncSQLAlchemy"
"""What is awaited."""

ACCEPTED = (
    "a Connection or AsyncConnection of psycopg, or a Connection, Session, scoped_session, "
    "AsyncConnection, AsyncSession or async_scoped_session of SQLAlchemy"
)
"""All of them, for people."""


def is_psycopg(connection: object) -> TypeGuard[psycopg.Connection[Any]]:
    """Return whether this is a connection of psycopg."""
    return isinstance(connection, loaded(("psycopg", "Connection")))


def is_async_psycopg(connection: object) -> TypeGuard[psycopg.AsyncConnection[Any]]:
    """Return whether this is an asynchronous connection of psycopg."""
    return isinstance(connection, loaded(("psycopg", "AsyncConnection")))


def is_sqlalchemy(connection: object) -> TypeGuard[SyncSQLAlchemy]:
    """Return whether this is a connection or session of SQLAlchemy."""
    classes = loaded(
        ("sqlalchemy", "Connection"),
        ("sqlalchemy.orm", "Session"),
        ("sqlalchemy.orm", "scoped_session"),
    )
    return isinstance(connection, classes)


def is_async_sqlalchemy(connection: object) -> TypeGuard[AsyncSQLAlchemy]:
    """Return whether this is an asynchronous connection or session of SQLAlchemy."""
    names = ("AsyncConnection", "AsyncSession", "async_scoped_session")
    return isinstance(connection, loaded(*(("sqlalchemy.ext.asyncio", name) for name in names)))


def is_scoped(connection: object) -> TypeGuard[scoped_session[Any]]:
    """Return whether this is the registry of a session for each thread, not a session itself."""
    return isinstance(connection, loaded(("sqlalchemy.orm", "scoped_session")))


def is_async_scoped(connection: object) -> TypeGuard[async_scoped_session[Any]]:
    """Return whether this is the registry of an asynchronous session for each task."""
    return isinstance(connection, loaded(("sqlalchemy.ext.asyncio", "async_scoped_session")))


def is_sync(connection: object) -> TypeGuard[Sync]:
    """Return whether this is used at once, whichever library it is of."""
    return is_psycopg(connection) or is_sqlalchemy(connection)


def is_async(connection: object) -> TypeGuard[Async]:
    """Return whether this is awaited, whichever library it is of."""
    return is_async_psycopg(connection) or is_async_sqlalchemy(connection)


def is_engine(target: object) -> TypeGuard[sqlalchemy.Engine]:
    """Return whether this is an engine of SQLAlchemy."""
    return isinstance(target, loaded(("sqlalchemy", "Engine")))


def is_async_engine(target: object) -> TypeGuard[AsyncEngine]:
    """Return whether this is an asynchronous engine of SQLAlchemy."""
    return isinstance(target, loaded(("sqlalchemy.ext.asyncio", "AsyncEngine")))


def is_sessionmaker(target: object) -> TypeGuard[sessionmaker[Any] | async_sessionmaker[Any]]:
    """Return whether this makes sessions of SQLAlchemy, of either kind."""
    classes = loaded(
        ("sqlalchemy.orm", "sessionmaker"), ("sqlalchemy.ext.asyncio", "async_sessionmaker")
    )
    return isinstance(target, classes)
