"""Puts an actor into the transaction that a connection is in, and takes it out again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from auditdb import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditdb._actor.scope import Actor

SyncConnection: TypeAlias = "psycopg.Connection[Any] | Connection | Session | scoped_session[Any]"
AnyConnection: TypeAlias = (
    "SyncConnection | psycopg.AsyncConnection[Any] | AsyncConnection | AsyncSession "
    "| async_scoped_session[Any]"
)

SEPARATOR = "\x1f"
"""What parts the fields of the setting audit.actor, as audit.set_actor() writes it."""

_SQLALCHEMY = (Connection, Session, scoped_session)
_SQLALCHEMY_ASYNC = (AsyncConnection, AsyncSession, async_scoped_session)

# Whatever options a connection has, what is executed here needs no cursor on the server.
_OPTIONS: dict[str, Any] = {"stream_results": False, "yield_per": None}

# The time a transaction began tells it from the next one: only where the actor was put is it taken
# out again.
_PUT = text(
    "select current_setting('audit.actor', true), cast(extract(epoch from now()) as text), "
    "audit.set_actor(:type, :id, :label, cast(cast(:context as text) as jsonb))"
)
_RESTORE = text(
    "select set_config('audit.actor', :setting, true) "
    "where cast(extract(epoch from now()) as text) = :began"
)
_PUT_PSYCOPG = (
    "select current_setting('audit.actor', true), cast(extract(epoch from now()) as text), "
    "audit.set_actor(%(type)s, %(id)s, %(label)s, %(context)s::text::jsonb)"
)
_RESTORE_PSYCOPG = (
    "select set_config('audit.actor', %(setting)s, true) "
    "where cast(extract(epoch from now()) as text) = %(began)s"
)


@dataclass(frozen=True, slots=True)
class Before:
    """What a transaction had before put(), for restore()."""

    setting: str
    began: str
    """When the transaction began, in seconds since 1970."""


def parameters(actor: Actor) -> dict[str, str | None]:
    """Return what the function audit.set_actor() is to be called with, by name."""
    return {
        "type": actor.type,
        "id": actor.id,
        "label": actor.label,
        "context": actor.context_json,
    }


def assignment(actor: Actor) -> sql.Composed:
    """Return the statement that sets what audit.set_actor() sets, and is no query.

    A transaction must be able to choose its isolation level before its first query; and its
    snapshot is to be taken by the first query of the application.
    """
    fields = [actor.type, actor.id, actor.label or "", actor.context_json]
    value = SEPARATOR.join(field for field in fields if field is not None)
    return sql.SQL("set local audit.actor = {}").format(sql.Literal(value))


def no_transaction(what: str) -> errors.NoTransaction:
    """Return the error for `what` that would be written without the actor that there is."""
    return errors.NoTransaction(
        f"{what} on a connection in autocommit mode, outside a transaction, would not carry "
        "the actor.",
        hint="Put a transaction around it: `with connection.transaction():` in psycopg, `with "
        'engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:` in '
        "SQLAlchemy.",
    )


def put(connection: AnyConnection, actor: Actor) -> Before:
    """Set `actor` in the transaction of `connection`, beginning one where there is none yet.

    Returns what was there before, for restore(). Raises NoTransaction in autocommit mode, TypeError
    for an asynchronous connection, and errors of the database as AuditError.
    """
    with errors.translated():
        if isinstance(connection, _SQLALCHEMY):
            return _put(connection, actor)
        if isinstance(connection, psycopg.Connection):
            _check(connection)
            with connection.cursor(row_factory=tuple_row) as cursor:
                row = cursor.execute(_PUT_PSYCOPG, parameters(actor), prepare=False).fetchone()
            return _before(row)
    raise _refused(connection)


def restore(connection: AnyConnection | None, before: Before) -> None:
    """Set what put() returned, unless the transaction is over or failed and takes it along."""
    with _unless_over():
        if isinstance(connection, _SQLALCHEMY):
            _restore(connection, before)
        elif isinstance(connection, psycopg.Connection) and _is_open(connection):
            connection.execute(_RESTORE_PSYCOPG, _parameters(before), prepare=False)


async def put_async(connection: AnyConnection, actor: Actor) -> Before:
    """Set `actor` as put() does, on a connection of either kind."""
    with errors.translated():
        if isinstance(connection, _SQLALCHEMY_ASYNC):
            return await _own(connection).run_sync(_put, actor)
        if isinstance(connection, psycopg.AsyncConnection):
            _check(connection)
            async with connection.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(_PUT_PSYCOPG, parameters(actor), prepare=False)
                return _before(await cursor.fetchone())
    return put(connection, actor)


async def restore_async(connection: AnyConnection | None, before: Before) -> None:
    """Set what put_async() returned, as restore() does."""
    with _unless_over():
        if isinstance(connection, _SQLALCHEMY_ASYNC):
            await _own(connection).run_sync(_restore, before)
        elif isinstance(connection, psycopg.AsyncConnection):
            if _is_open(connection):
                await connection.execute(_RESTORE_PSYCOPG, _parameters(before), prepare=False)
        else:
            restore(connection, before)


def begin(connection: Connection, actor: Actor) -> None:
    """Set `actor` in the transaction that `connection` of SQLAlchemy is beginning."""
    if connection.dialect.driver == "psycopg2":
        # It writes parameters into the statement; those of other drivers go into queries only.
        statement = assignment(actor).as_string(None).replace("%", "%%")
        connection.exec_driver_sql(statement, execution_options=_OPTIONS)
    else:
        with errors.translated():
            connection.execute(_PUT, parameters(actor), execution_options=_OPTIONS)


def is_autocommit(connection: Connection) -> bool:
    """Return whether the driver of `connection` commits each statement by itself."""
    return bool(getattr(connection.connection.dbapi_connection, "autocommit", False))


def _own(
    connection: AsyncConnection | AsyncSession | async_scoped_session[Any],
) -> AsyncConnection | AsyncSession:
    return connection() if isinstance(connection, async_scoped_session) else connection


def _put(target: Connection | Session | scoped_session[Any], actor: Actor) -> Before:
    connection = target if isinstance(target, Connection) else target.connection()
    if is_autocommit(connection):
        raise no_transaction("What is written")
    return _before(connection.execute(_PUT, parameters(actor), execution_options=_OPTIONS).one())


def _restore(target: Connection | Session | scoped_session[Any], before: Before) -> None:
    own: Connection | Session = target() if isinstance(target, scoped_session) else target
    if isinstance(own, Connection):
        transaction = own.get_nested_transaction() or own.get_transaction()
        if transaction is not None and transaction.is_active and not own.invalidated:
            own.execute(_RESTORE, _parameters(before), execution_options=_OPTIONS)
    elif own.in_transaction() and own.is_active:
        _restore(own.connection(), before)


def _before(row: Any) -> Before:
    return Before(row[0] or "", row[1])


def _parameters(before: Before) -> dict[str, str]:
    return {"setting": before.setting, "began": before.began}


def _check(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    if connection.autocommit and idle:
        raise no_transaction("What is written")


def _is_open(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    status = connection.info.transaction_status
    is_pipeline = connection.info.pipeline_status == PipelineStatus.ON
    return status == TransactionStatus.INTRANS or (
        is_pipeline and status == TransactionStatus.ACTIVE
    )


@contextmanager
def _unless_over() -> Iterator[None]:
    """Pass over the errors of a failed transaction and of a lost one: they take the actor along."""
    try:
        with errors.translated():
            yield
    except errors.DatabaseUnreachable:
        return
    except errors.AuditError as error:
        if error.__cause__ is None or errors.sqlstate(error.__cause__) != "25P02":
            raise


def _refused(connection: object) -> TypeError:
    if isinstance(connection, (*_SQLALCHEMY_ASYNC, psycopg.AsyncConnection)):
        return TypeError("This connection is asynchronous: write `async with auditdb.actor(...)`.")
    return TypeError(
        f"{type(connection).__name__} is no connection: give a psycopg connection, or a connection "
        "or session of SQLAlchemy."
    )
