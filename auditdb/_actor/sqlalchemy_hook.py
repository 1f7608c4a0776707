"""Makes engines of SQLAlchemy put the actor into each transaction that they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import TextClause, event

from auditdb._actor import actor_setting, sqlalchemy_setting
from auditdb._actor.scope import current_actor
from auditdb._actor.writes import is_query, may_write

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_AWAITED = "auditdb.actor"
"""Where a connection keeps the actor of a transaction until its first query."""
_NO_QUERY = "auditdb.no_query"
"""Where a connection keeps that the statement which begins a transaction is no query."""


def teach(engine: Engine) -> None:
    """Make `engine` put the actor into each transaction that it begins; twice does no harm.

    Raises ValueError for an engine of another database.
    """
    if engine.dialect.name != "postgresql":
        raise ValueError(
            f"The audit log is PostgreSQL's; this engine is for {engine.dialect.name}."
        )
    if engine.dialect.driver in ("psycopg", "psycopg_async"):
        from auditdb._actor import psycopg_hook

        event.listen(engine, "checkout", psycopg_hook.on_checkout)
    else:
        event.listen(engine, "before_execute", _on_first)
        event.listen(engine, "begin", _on_begin)
        event.listen(engine, "begin_twophase", _on_begin_twophase)
        event.listen(engine, "before_cursor_execute", _on_execute)


def _on_first(connection: Connection, clause: Any, *_: Any) -> None:
    if not connection.in_transaction():
        connection.info[_NO_QUERY] = isinstance(clause, TextClause) and not is_query(clause.text)


def _on_begin(connection: Connection) -> None:
    connection.info.pop(_AWAITED, None)
    no_query = connection.info.pop(_NO_QUERY, False)
    who = current_actor()
    if who is None or sqlalchemy_setting.is_autocommit(connection):
        return
    if no_query:
        connection.info[_AWAITED] = who
    else:
        sqlalchemy_setting.begin(connection, who)


def _on_begin_twophase(connection: Connection, _xid: Any) -> None:
    # The driver begins after this: the actor must wait for the first query.
    connection.info[_AWAITED] = current_actor()


def _on_execute(
    connection: Connection,
    _cursor: Any,
    statement: str,
    _parameters: Any,
    _context: Any,
    _many: bool,
) -> None:
    awaited = connection.info.get(_AWAITED)
    if awaited is not None and is_query(statement):
        del connection.info[_AWAITED]
        sqlalchemy_setting.begin(connection, awaited)
    if (
        current_actor() is not None
        and sqlalchemy_setting.is_autocommit(connection)
        and may_write(statement)
    ):
        raise actor_setting.no_transaction("This statement")
