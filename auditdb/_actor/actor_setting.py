"""Puts an actor into the transaction that a connection is in, and takes it out again.

What is done depends on the library of the connection, which is loaded only where it is one of it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from auditdb import errors
from auditdb._connection import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditdb._actor.scope import Actor

AnyConnection: TypeAlias = "kinds.Sync | kinds.Async"

SEPARATOR = "\x1f"
"""What parts the fields of the setting audit.actor, as audit.set_actor() writes it."""

STAMP = "extract(epoch from current_timestamp)"
"""The first field, in SQL: it tells a transaction from the next one."""

_SETTING = f"pg_catalog.concat({STAMP}, cast(:setting as pg_catalog.text))"
_SET = f"pg_catalog.set_config('audit.actor', {_SETTING}, true)"
ASSIGN = f"select {_SET}"
"""The statement that names an actor, with parameters as :name: what audit.set_actor() does after
checking what Actor has checked already."""

PUT = (
    "select pg_catalog.current_setting('audit.actor', true), "
    f"cast({STAMP} as pg_catalog.text), {_SET} "
    "where cast('audit' as pg_catalog.regnamespace) is not null"
)
"""The statement of put(), which fails where there is no log."""

RESTORE = (
    "select pg_catalog.set_config('audit.actor', :setting, true) "
    f"where cast({STAMP} as pg_catalog.text) operator(pg_catalog.=) :began"
)
"""The statement of restore()."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a transaction had before put(), for restore()."""

    setting: str
    began: str
    """When the transaction began, in seconds since 1970: only where the actor was put is it taken
    out again."""

    def parameters(self) -> dict[str, str]:
        """Return what the statement of restore() is run with, by name."""
        return {"setting": self.setting, "began": self.began}


def before(row: Any) -> Before:
    """Return what the statement of put() found."""
    return Before(row[0] or "", row[1])


def parameters(actor: Actor) -> dict[str, str]:
    """Return what ASSIGN and PUT are run with, by name."""
    return {"setting": value(actor)}


def value(actor: Actor) -> str:
    """Return the setting audit.actor but for its stamp, as audit.set_actor() writes it."""
    fields = ["", actor.type, actor.id, actor.label or ""]
    principal, context = actor.on_behalf_of, actor.context_json
    # Blanks say that the context was checked.
    if principal is not None:
        fields += [f"  {context or 'null'}", principal.type, principal.id]
        fields += filter(None, [principal.label])
    elif context is not None:
        fields.append(f" {context}")
    return SEPARATOR.join(fields)


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
        if kinds.is_sqlalchemy(connection):
            from auditdb._actor import sqlalchemy_setting

            return sqlalchemy_setting.put(connection, actor)
        if kinds.is_psycopg(connection):
            from auditdb._actor import psycopg_setting

            return psycopg_setting.put(connection, actor)
    raise _refused(connection)


def restore(connection: AnyConnection | None, before: Before) -> None:
    """Set what put() returned, unless the transaction is over or failed and takes it along."""
    with _unless_over():
        if kinds.is_sqlalchemy(connection):
            from auditdb._actor import sqlalchemy_setting

            sqlalchemy_setting.restore(connection, before)
        elif kinds.is_psycopg(connection):
            from auditdb._actor import psycopg_setting

            psycopg_setting.restore(connection, before)


async def put_async(connection: AnyConnection, actor: Actor) -> Before:
    """Set `actor` as put() does, on a connection of either kind."""
    with errors.translated():
        if kinds.is_async_sqlalchemy(connection):
            from auditdb._actor import sqlalchemy_setting

            return await sqlalchemy_setting.put_async(connection, actor)
        if kinds.is_async_psycopg(connection):
            from auditdb._actor import psycopg_setting

            return await psycopg_setting.put_async(connection, actor)
    return put(connection, actor)


async def restore_async(connection: AnyConnection | None, before: Before) -> None:
    """Set what put_async() returned, as restore() does."""
    with _unless_over():
        if kinds.is_async_sqlalchemy(connection):
            from auditdb._actor import sqlalchemy_setting

            await sqlalchemy_setting.restore_async(connection, before)
        elif kinds.is_async_psycopg(connection):
            from auditdb._actor import psycopg_setting

            await psycopg_setting.restore_async(connection, before)
        else:
            restore(connection, before)


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
    if kinds.is_async(connection):
        return TypeError("This connection is asynchronous: write `async with auditdb.actor(...)`.")
    return TypeError(
        f"{type(connection).__name__} is no connection: give a psycopg connection, or a connection "
        "or session of SQLAlchemy."
    )
