"""Puts an actor into the transaction of a connection or session of SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, text

from auditdb import errors
from auditdb._actor import actor_setting
from auditdb._connection import kinds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session

    from auditdb._actor.actor_setting import Before
    from auditdb._actor.scope import Actor

# Whatever options a connection has, what is executed here needs no cursor on the server.
_OPTIONS: dict[str, Any] = {"stream_results": False, "yield_per": None}

_PUT = text(actor_setting.PUT)
_RESTORE = text(actor_setting.RESTORE)
_ASSIGN = text(actor_setting.ASSIGN)


def put(target: kinds.SyncSQLAlchemy, actor: Actor) -> Before:
    """Set `actor` as actor_setting.put() says."""
    connection = target if isinstance(target, Connection) else target.connection()
    if is_autocommit(connection):
        raise actor_setting.no_transaction("What is written")
    found = connection.execute(_PUT, actor_setting.parameters(actor), execution_options=_OPTIONS)
    return actor_setting.before(found.one())


async def put_async(target: kinds.AsyncSQLAlchemy, actor: Actor) -> Before:
    """Set `actor` as put() does, through an asynchronous connection or session."""
    return await _own_async(target).run_sync(put, actor)


def restore(target: kinds.SyncSQLAlchemy, before: Before) -> None:
    """Set what put() returned, unless the transaction is over."""
    own = _own(target)
    if isinstance(own, Connection):
        transaction = own.get_nested_transaction() or own.get_transaction()
        if transaction is not None and transaction.is_active and not own.invalidated:
            own.execute(_RESTORE, before.parameters(), execution_options=_OPTIONS)
    elif own.in_transaction() and own.is_active:
        restore(own.connection(), before)


async def restore_async(target: kinds.AsyncSQLAlchemy, before: Before) -> None:
    """Set what put_async() returned, as restore() does."""
    await _own_async(target).run_sync(restore, before)


def begin(connection: Connection, actor: Actor) -> None:
    """Set `actor` in the transaction that `connection` is beginning."""
    with errors.translated():
        connection.execute(_ASSIGN, actor_setting.parameters(actor), execution_options=_OPTIONS)


def is_autocommit(connection: Connection) -> bool:
    """Return whether the driver of `connection` commits each statement by itself."""
    return bool(getattr(connection.connection.dbapi_connection, "autocommit", False))


def _own(target: kinds.SyncSQLAlchemy) -> Connection | Session:
    return target() if kinds.is_scoped(target) else cast("Connection | Session", target)


def _own_async(target: kinds.AsyncSQLAlchemy) -> AsyncConnection | AsyncSession:
    own = target() if kinds.is_async_scoped(target) else target
    return cast("AsyncConnection | AsyncSession", own)
