"""What can go wrong, one class each: those the database raises by SQLSTATE, and our own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import psycopg
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Iterator


class AuditError(Exception):
    """Something is wrong with the audit log."""

    sqlstate: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        """Take `message`, by default the docstring of the class, and what to do about it."""
        self.message = message or type(self).__doc__ or ""
        self.hint = hint
        super().__init__(f"{self.message}\n{hint}" if hint else self.message)


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


class InvalidUrl(AuditError):
    """This is not the URL of a PostgreSQL database."""


class DatabaseUnreachable(AuditError):
    """The database cannot be reached."""


class SchemaMissing(AuditError):
    """The database has no audit log yet."""


class SchemaBehind(AuditError):
    """The audit log of the database is of another version than this auditdb."""


class PermissionDenied(AuditError):
    """The role has no right to do this."""


class DatabaseFailed(AuditError):
    """The database reported an error."""


class MigrationFailed(AuditError):
    """The migration cannot be run."""


class InvalidCursor(AuditError):
    """This cursor is not one that auditdb has given."""


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


def driver_error(error: BaseException) -> psycopg.Error | None:
    """Return the psycopg error that `error` is or that SQLAlchemy wrapped in it, else None."""
    if isinstance(error, DBAPIError):
        return error.orig if isinstance(error.orig, psycopg.Error) else None
    return error if isinstance(error, psycopg.Error) else None


def translate(error: psycopg.Error | DBAPIError) -> AuditError:
    """Return the error of ours that `error` stands for, with the driver's error as its cause.

    The SQLSTATEs UA001 to UA009 have a class each. Of other errors only the message is kept: the
    detail that PostgreSQL adds may quote values of the row.
    """
    driver = driver_error(error)
    translated = _translate(driver) if driver else DatabaseFailed("The driver reported an error.")
    translated.__cause__ = driver or error
    return translated


def _translate(error: psycopg.Error) -> AuditError:
    message = error.diag.message_primary or str(error)
    hint = error.diag.message_hint
    if error.sqlstate == "42501":
        needed = (
            "Reading takes select on audit.events, audit.changes, audit.log and audit.action; "
            "upgrading takes the rights of the owner."
        )
        return PermissionDenied(f"PostgreSQL refused: {message}.", hint=hint or needed)
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        return DatabaseUnreachable(f"The connection to the database was lost: {message}")
    found = _by_sqlstate().get(error.sqlstate or "", DatabaseFailed)
    return found(message, hint=hint)


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of psycopg and SQLAlchemy out of this block as errors of ours."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        translation = translate(error)
        raise translation from translation.__cause__
