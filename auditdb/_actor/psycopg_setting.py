"""Puts an actor into the transaction of a connection of psycopg."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from auditdb._actor import actor_setting

if TYPE_CHECKING:
    from auditdb._actor.actor_setting import Before
    from auditdb._actor.scope import Actor

_PUT = re.sub(r":(\w+)", r"%(\1)s", actor_setting.PUT)
_RESTORE = re.sub(r":(\w+)", r"%(\1)s", actor_setting.RESTORE)
_ASSIGN = actor_setting.ASSIGN.replace("cast(:setting as pg_catalog.text)", "{}")


def assignment(actor: Actor) -> sql.Composed:
    """Return the statement that names `actor`, for the message that begins a transaction."""
    return sql.SQL(_ASSIGN).format(sql.Literal(actor_setting.value(actor)))


def put(connection: psycopg.Connection[Any], actor: Actor) -> Before:
    """Set `actor` as actor_setting.put() says."""
    _check(connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_PUT, actor_setting.parameters(actor), prepare=False)
        return actor_setting.before(cursor.fetchone())


async def put_async(connection: psycopg.AsyncConnection[Any], actor: Actor) -> Before:
    """Set `actor` as put() does, through an asynchronous connection."""
    _check(connection)
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_PUT, actor_setting.parameters(actor), prepare=False)
        return actor_setting.before(await cursor.fetchone())


def restore(connection: psycopg.Connection[Any], before: Before) -> None:
    """Set what put() returned, unless the transaction is over."""
    if is_open(connection):
        connection.execute(_RESTORE, before.parameters(), prepare=False)


async def restore_async(connection: psycopg.AsyncConnection[Any], before: Before) -> None:
    """Set what put_async() returned, as restore() does."""
    if is_open(connection):
        await connection.execute(_RESTORE, before.parameters(), prepare=False)


def _check(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    if connection.autocommit and idle:
        raise actor_setting.no_transaction("What is written")


def is_open(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Return whether `connection` is in a transaction that has not failed, as far as one sees."""
    status = connection.info.transaction_status
    is_pipeline = connection.info.pipeline_status == PipelineStatus.ON
    return status == TransactionStatus.INTRANS or (
        is_pipeline and status == TransactionStatus.ACTIVE
    )
