"""What can go wrong, one class each: those the database raises by SQLSTATE, and our own."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.exc import DBAPIError


class AuditError(Exception):
    """Something is wrong with the audit log."""

    sqlstate: ClassVar[str | None] = None
    usual_hint: ClassVar[str | None] = None
    """What to do about it, where whoever raises it says nothing else."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        """Take `message`, by default the docstring of the class, and what to do about it."""
        self.message = message or type(self).__doc__ or ""
        self.hint = hint or self.usual_hint
        super().__init__(f"{self.message}\n{self.hint}" if self.hint else self.message)


class CannotTrack(AuditError):
    """This relation cannot be tracked."""

    sqlstate = "UA001"


class ActorRequired(AuditError):
    """This table takes no writes without an actor."""

    sqlstate = "UA002"


class TriggersOutOfDate(AuditError):
    """The compiled triggers of this table are out of date."""

    sqlstate = "UA003"


class AppendOnly(AuditError):
    """The audit log is append-only."""

    sqlstate = "UA004"


class InvalidDeclaration(AuditError):
    """This declaration of a table is not valid."""

    sqlstate = "UA005"


class NoTransaction(AuditError):
    """An actor can be set inside a transaction only."""

    sqlstate = "UA006"


class TruncateRefused(AuditError):
    """This table may not be truncated."""

    sqlstate = "UA007"


class DowngradeRefused(AuditError):
    """This downgrade would drop rows of the audit log."""

    sqlstate = "UA008"


class NotTracked(AuditError):
    """This table is not tracked."""

    sqlstate = "UA009"


class SchemaForeign(AuditError):
    """The schema audit of this database was not made by auditdb."""

    sqlstate = "UA010"


class UndoRefused(AuditError):
    """This cannot be undone as things are now."""

    sqlstate = "UA011"


class InvalidActor(AuditError):
    """This actor cannot be written to the audit log."""


class InvalidUrl(AuditError):
    """This is not the URL of a PostgreSQL database."""


class DatabaseUnreachable(AuditError):
    """The database cannot be reached."""


UPGRADE_HINT = "Run `auditdb upgrade`."
"""What to do where the database has no log, or one of an older version."""


class SchemaMissing(AuditError):
    """The database has no audit log yet."""

    usual_hint = UPGRADE_HINT


class SchemaBehind(AuditError):
    """The audit log of the database is of another version than this auditdb."""

    usual_hint = UPGRADE_HINT


class SchemaAhead(AuditError):
    """The audit log of the database is of a newer version than this auditdb."""


class PermissionDenied(AuditError):
    """The role has no right to do this."""


class DatabaseFailed(AuditError):
    """The database reported an error."""


class MigrationFailed(AuditError):
    """The migration cannot be run."""


class LogBusy(AuditError):
    """The log is in use, so the command could not go on."""


class InvalidCursor(AuditError):
    """This cursor is not one that auditdb has given."""


class InvalidQuestion(AuditError):
    """The log cannot be asked for this."""


class WatermarkRefused(AuditError):
    """The log cannot be read on from this place."""


class ExportFailed(AuditError):
    """The log cannot be exported so."""


class InvalidExport(AuditError):
    """This is not what an export wrote."""


class ImportFailed(AuditError):
    """This cannot be imported."""


class EmbeddedMissing(AuditError):
    """The embedded PostgreSQL is not installed."""


def _by_sqlstate() -> dict[str, type[AuditError]]:
    return {c.sqlstate: c for c in AuditError.__subclasses__() if c.sqlstate is not None}


def loaded(*names: tuple[str, str]) -> tuple[type, ...]:
    """Return these classes, each a module and a name in it, as far as they are loaded.

    An object of any other cannot be there, so whoever asks for its class need not load it.
    """
    found = (getattr(sys.modules.get(module), name, None) for module, name in names)
    return tuple(one for one in found if one is not None)


def driver_errors() -> tuple[type[Exception], ...]:
    """Return the classes of errors that psycopg, psycopg2, asyncpg and SQLAlchemy raise."""
    return loaded(
        ("psycopg", "Error"),
        ("sqlalchemy.exc", "DBAPIError"),
        ("psycopg2", "Error"),
        ("asyncpg", "PostgresError"),
        ("asyncpg", "InterfaceError"),
    )


def _is_wrapped(error: BaseException | None) -> TypeGuard[DBAPIError]:
    return isinstance(error, loaded(("sqlalchemy.exc", "DBAPIError")))


def driver_error(error: BaseException) -> BaseException | None:
    """Return the driver's error that `error` is or that SQLAlchemy wrapped in it, else None."""
    if not _is_wrapped(error):
        return error if isinstance(error, driver_errors()) else None
    # SQLAlchemy puts an error of its own around those of drivers that are no DBAPI.
    inner = (error.orig, getattr(error.orig, "__cause__", None))
    return next((e for e in inner if isinstance(e, driver_errors())), None)


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of a driver's error, also one that SQLAlchemy wrapped; else None.

    >>> sqlstate(psycopg.errors.UndefinedTable())
    '42P01'
    """
    driver = driver_error(error)
    return None if driver is None else _report(driver).sqlstate


# What a row of the log is found by, as the names of its indexes begin.
_INDEXED = {
    "account_id": "The account",
    "item_id": "The id of the item",
    "parent_id": "The id of the parent",
    "actor_id": "The id of the actor",
}


def translate(error: BaseException) -> AuditError:
    """Return the error of ours that `error` stands for, with the driver's error as its cause.

    `error` comes from psycopg, psycopg2, asyncpg, or from SQLAlchemy around one of them. The
    SQLSTATEs UA001 to UA010 have a class each; others are a PermissionDenied, DatabaseUnreachable
    or DatabaseFailed. Of those only the message is kept: the detail that PostgreSQL adds may quote
    values of the row. An AuditError is returned as it is. Raises TypeError for any other exception.

    >>> try:
    ...     conn.execute("select audit.refresh('public.customer')")
    ... except psycopg.Error as error:
    ...     ours = auditdb.translate(error)
    >>> type(ours).__name__, ours.message
    ('NotTracked', 'table public.customer is not tracked')
    """
    if isinstance(error, AuditError):
        return error
    driver = driver_error(error)
    if driver is None and not _is_wrapped(error):
        raise TypeError(f"{type(error).__name__} is no error of a database driver.")
    translated = _translate(driver) if driver else DatabaseFailed("The driver reported an error.")
    translated.__cause__ = driver or error
    return translated


@dataclass(frozen=True, slots=True)
class _Report:
    """What the database says in an error, however its driver hands it over."""

    sqlstate: str | None
    message: str
    hint: str | None
    is_loss: bool
    """Whether there is no connection any more."""
    index: str
    """Table and index that it is about, in schema audit; empty where there are none."""


def _report(error: BaseException) -> _Report:
    diag = getattr(error, "diag", None)
    message = getattr(diag, "message_primary", None) or getattr(error, "message", None)
    message = message or str(error)
    # psycopg2 has a name of its own for it.
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is None:
        is_operational = any(c.__name__ == "OperationalError" for c in type(error).__mro__)
        is_loss = is_operational or "closed" in message
    else:
        is_loss = state.startswith("08") or state in ("57P01", "57P02", "57P03")
    hint = getattr(diag, "message_hint", None) or getattr(error, "hint", None)
    return _Report(state, message, hint, is_loss, _index(diag or error))


def _index(told: object) -> str:
    schema, table, index = (
        getattr(told, f"{name}_name", None) for name in ("schema", "table", "constraint")
    )
    # The index of a partition is called by it and the columns.
    return str(index).removeprefix(f"{table}_") if schema == "audit" else ""


def _too_long(index: str) -> DatabaseFailed:
    """Return the error for a value that an index of the log does not hold."""
    column = next((name for name in _INDEXED if index.startswith(name)), None)
    return DatabaseFailed(
        f"{_INDEXED.get(column or '', 'A text')} is too long for an index of the log, which holds "
        "some 2,600 bytes of it. Nothing was written.",
        hint="Write a shorter one, or declare an expression for it that gives one: audit.track().",
    )


def _translate(error: BaseException) -> AuditError:
    report = _report(error)
    if report.sqlstate == "42501":
        needed = (
            "Reading takes select on audit.events, audit.changes, audit.log, audit.layout and "
            "audit.action; "
            "upgrading takes the rights of the owner."
        )
        return PermissionDenied(
            f"PostgreSQL refused: {report.message}.", hint=report.hint or needed
        )
    if "statement pooling mode" in report.message:
        # As PgBouncer says it, where a transaction begins.
        return DatabaseUnreachable(
            "PgBouncer pools statements here, so that no transaction can be had.",
            hint="Give the URL of a pool in transaction or session mode, or of the server itself.",
        )
    if report.sqlstate == "54000" and report.index:
        return _too_long(report.index)
    if report.is_loss:
        return DatabaseUnreachable(f"The connection to the database was lost: {report.message}")
    found = _by_sqlstate().get(report.sqlstate or "", DatabaseFailed)
    return found(report.message, hint=report.hint)


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of the driver or of SQLAlchemy out of this block as errors of ours.

    An application that writes through a driver gets the driver's errors; this turns them into
    those of translate(), so that ActorRequired and the like can be caught by their names.

    >>> try:
    ...     with auditdb.translated():
    ...         conn.execute("update audit.log set actor_id = 'nobody'")
    ... except auditdb.AppendOnly as error:
    ...     print(error.message.partition(": ")[2])
    the log is append-only
    """
    try:
        yield
    except driver_errors() as error:
        translation = translate(error)
        raise translation from translation.__cause__


# Schema or table; column or function.
_MISSING = {"3F000", "42P01"}
_BEHIND = {"42703", "42883"}


@contextmanager
def log_translated() -> Iterator[None]:
    """Raise errors out of a block that asks for the log itself as translated() does.

    What the block names and the database does not have is the log's: a schema or table that is not
    there is a SchemaMissing, a column or function that is not there a SchemaBehind.
    """
    with translated():
        try:
            yield
        except driver_errors() as error:
            state = sqlstate(error)
            if state in _MISSING:
                raise SchemaMissing from driver_error(error)
            if state in _BEHIND:
                raise SchemaBehind from driver_error(error)
            raise


@contextmanager
def hinted(hint: str) -> Iterator[None]:
    """Raise a DatabaseUnreachable out of this block with `hint`, where it has none of its own."""
    try:
        yield
    except DatabaseUnreachable as error:
        raise DatabaseUnreachable(error.message, hint=error.hint or hint) from error.__cause__
