"""Asks the database what is wrong with the log, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import class_row

from auditdb.errors import log_translated

if TYPE_CHECKING:
    from datetime import timedelta

    import psycopg

_CHECK = sql.SQL("select finding, severity, object, message, mend from audit.check({})")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the log."""

    finding: str
    """Code of what is wrong, such as trigger_disabled; the same in every version."""
    severity: str
    """error where rows are missed, changed or seen by the wrong people, or will be; or warning."""
    object: str
    """The table, trigger, role or the like that is wrong."""
    message: str
    """What is wrong and what follows from it, for people."""
    mend: str
    """The command that mends it."""


def check(
    connection: psycopg.Connection[Any], *, pending_after: timedelta | None = None
) -> tuple[Finding, ...]:
    """Return what is wrong with the log of the database; nothing where all is well.

    Transactions are found that have been pending for longer than `pending_after`, by default one
    hour. Nothing is written, and no writer waits. `connection` needs the right to call
    audit.check().

    Raises SchemaMissing where the database has no log, SchemaBehind where its log has no
    audit.check() yet, PermissionDenied, and other errors of the database as AuditError.
    """
    arguments = [] if pending_after is None else [pending_after]
    statement = _CHECK.format(sql.SQL("%s" if arguments else ""))
    with log_translated(), connection.cursor(row_factory=class_row(Finding)) as cursor:
        return tuple(cursor.execute(statement, arguments).fetchall())
