"""Puts an actor into the transaction of a connection of psycopg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from auditdb._actor import actor_setting

if TYPE_CHECKING:
    from auditdb._actor.actor_setting import Before
    from auditdb._actor.scope import Actor

# The time a transaction began tells it from the next one.
_PUT = (
    "select current_setting('audit.actor', true), cast(extract(epoch from now()) as text), "
    "audit.set_actor(%(type)s, %(id)s, %(label)s, %(context)s::text::jsonb)"
)
_RESTORE = (
    "select set_config('audit.actor', %(setting)s, true) "
    "where cast(extract(epoch from now()) as text) = %(began)s"
)


def assignment(actor: Actor) -> sql.Composed:
    """Return the statement that sets what audit.set_actor() sets, and is no query.

    A transaction must be able to choose its isolation level before its first query; and its
    snapshot is to be taken by the first query of the application.
    """
    return sql.SQL("set local audit.actor = {}").format(sql.Literal(actor_setting.value(actor)))


def put(connection: psycopg.Connection[Any], actor: Actor) -> Before:
    """Set `actor` as actor_setting.put() says."""
    _check(connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_PUT, actor_setting.parameters(actor), prepare=False).fetchone()
    return actor_setting.before(row)


async def put_async(connection: psycopg.AsyncConnection[Any], actor: Actor) -> Before:
    """Set `actor` as put() does, through an asynchronous connection."""
    _check(connection)
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_PUT, actor_setting.parameters(actor), prepare=False)
        return actor_setting.before(await cursor.fetchone())


def restore(connection: psycopg.Connection[Any], before: Before) -> None:
    """Set what put() returned, unless the transaction is over."""
    if _is_open(connection):
        connection.execute(_RESTORE, before.parameters(), prepare=False)


async def restore_async(connection: psycopg.AsyncConnection[Any], before: Before) -> None:
    """Set what put_async() returned, as restore() does."""
    if _is_open(connection):
        await connection.execute(_RESTORE, before.parameters(), prepare=False)


def _check(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    if connection.autocommit and idle:
        raise actor_setting.no_transaction("What is written")


def _is_open(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    status = connection.info.transaction_status
    is_pipeline = connection.info.pipeline_status == PipelineStatus.ON
    return status == TransactionStatus.INTRANS or (
        is_pipeline and status == TransactionStatus.ACTIVE
    )
