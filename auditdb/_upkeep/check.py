"""Asks the database what is wrong with the log, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditdb._connection.runner import Query, helper

if TYPE_CHECKING:
    from datetime import timedelta

    from auditdb._connection.runner import Reading

_CHECK = "select finding, severity, object, message, mend from audit.check({})"
_PENDING_AFTER = "cast(cast(:pending_after as text) as interval)"


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


@helper
def check(*, pending_after: timedelta | None = None) -> Reading[tuple[Finding, ...]]:
    """Return what is wrong with the log of the database; nothing where all is well.

    `conn` is a connection or session of psycopg or SQLAlchemy; through an asynchronous one the
    result is awaited. Its role needs the right to call audit.check(), no other. Transactions are
    found that have been pending for longer than `pending_after`, by default one hour. Nothing is
    written, and no writer waits.

    Raises SchemaMissing where the database has no log, SchemaBehind where its log has no
    audit.check() yet, PermissionDenied, and other errors of the database as AuditError.

    >>> [(found.severity, found.finding, found.object) for found in auditdb.check(conn)][0]
    ('warning', 'table_untracked', 'public.customer')
    """
    if pending_after is None:
        rows = yield Query(_CHECK.format(""), {})
    else:
        text = _CHECK.format(_PENDING_AFTER)
        rows = yield Query(text, {"pending_after": _interval(pending_after)})
    return tuple(Finding(*row) for row in rows)


def _interval(span: timedelta) -> str:
    """Return `span` as PostgreSQL reads it."""
    return f"{span.days} days {span.seconds} seconds {span.microseconds} microseconds"
