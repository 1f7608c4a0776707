"""Asks the database what is wrong with the log, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from auditdb._connection.runner import Query, helper
from auditdb._upkeep import facts, tampering
from auditdb._upkeep.facts import Key
from auditdb._upkeep.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from auditdb._connection.runner import Reading
    from auditdb._upkeep.facts import Facts

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""How bad a finding is, from the worst on."""

_CHECK = "select finding, severity, object, message, mend from audit.check({})"
_PENDING_AFTER = "cast(cast(:pending_after as text) as interval)"
_THOROUGH = """
select finding, severity, object, message, mend from audit.check_compiled()
union all
select finding, severity, object, message, mend from audit.check_counts()
"""
_READABLE = """
select has_table_privilege('audit.tracked'::regclass, 'select')
"""
_COMPILED = """
select jsonb_object_keys(k.compiled -> 'functions') from audit.tracked as k
"""
_NOT_ASKED = Finding(
    "check_not_asked",
    "warning",
    "audit.check(interval)",
    "Because the code of the log is not what auditdb installed, it was not called, and what it "
    "looks for was not looked for. Check again when the code is repaired.",
    "auditdb check",
)
_UNREAD = Finding(
    "code_unknown",
    "info",
    "schema audit",
    "Whether code and tables are as installed cannot be told, since this role may not read of "
    "which revision the log is.",
    "grant select on audit.alembic_version to ...;",
)
_UNKNOWN = Finding(
    "code_unknown",
    "warning",
    "schema audit",
    "Whether code and tables are as installed cannot be told, since this auditdb does not know the "
    "revision of the log.",
    "auditdb check, of the auditdb that upgraded the database",
)


@helper
def check(
    *,
    pending_after: timedelta | None = None,
    severity: Severity = "warning",
    thorough: bool = False,
) -> Reading[tuple[Finding, ...]]:
    """Return what is wrong with the log of the database; nothing where all is well.

    `conn` is a connection or session of psycopg or SQLAlchemy; through an asynchronous one the
    result is awaited. Its role needs the right to call audit.check(), no other; one that may also
    read of which revision the log is, as audit_maintainer may, is told more. First what is
    installed is compared with what auditdb installs, by asking the catalogue; then audit.check()
    is asked, if its code is what it was. Transactions are found that have been pending for longer
    than `pending_after`, by default one hour. Of findings less bad than `severity` nothing is
    said: with info it is also told how large the log is, and how long its partitions last. What is
    `thorough` compiles each declaration anew and reads closed partitions whole, which takes a while
    and the rights of the log's owner. Nothing is written, and no writer waits.

    Raises SchemaMissing where the database has no log, SchemaBehind where its log has no
    audit.check() yet, PermissionDenied, and other errors of the database as AuditError.

    >>> [(found.severity, found.finding, found.object) for found in auditdb.check(conn)][0]
    ('warning', 'actor_missing', 'public.invoice')
    """
    if severity not in SEVERITIES:
        raise ValueError("A severity is error, warning or info.")
    found = yield from facts.pinned(_look(pending_after, thorough=thorough))
    return tuple(f for f in found if is_at_least(f.severity, severity))


def is_at_least(one: str, other: Severity) -> bool:
    """Return whether a severity is as bad as another, or worse."""
    order: tuple[str, ...] = SEVERITIES
    return order.index(one) <= order.index(other)


def _look(pending_after: timedelta | None, *, thorough: bool) -> Reading[list[Finding]]:
    ours = yield from _compare()
    if any(map(tampering.is_of_code, ours)):
        return [*ours, _NOT_ASKED]
    if pending_after is None:
        rows = yield Query(_CHECK.format(""), {})
    else:
        text = _CHECK.format(_PENDING_AFTER)
        rows = yield Query(text, {"pending_after": _interval(pending_after)})
    more = (yield Query(_THOROUGH, {}, is_exact=True)) if thorough else ()
    asked = [Finding(*row) for row in (*rows, *more)]
    return [*_not_told(ours, asked), *asked]


def _compare() -> Reading[list[Finding]]:
    """Compare what is installed with what this package installs."""
    found = yield from facts.found()
    if Key("function", "audit.check(pending_after interval)", "body") not in found and not any(
        key.kind == "relation" for key in found
    ):
        return []
    revision = yield from facts.revision()
    installed = None if revision is None else facts.shipped(revision)
    if installed is None:
        return [_UNREAD if revision is None else _UNKNOWN]
    compiled = yield from _compiled(found)
    ours = list(tampering.findings(installed, found, compiled))
    if any(map(tampering.is_of_code, ours)):
        ours = list(tampering.findings(installed, found, compiled, is_alone=True))
    return ours


def _compiled(found: Facts) -> Reading[frozenset[str] | None]:
    """Ask for the names of functions that were compiled; None where this role may not."""
    is_table = (
        found.get(Key("relation", "audit.tracked", "kind")) == "table"
        and found.get(Key("relation", "audit.tracked", "row security")) == "disabled"
    )
    ((may_read,),) = (yield Query(_READABLE, {}, is_exact=True)) if is_table else ((False,),)
    if not may_read:
        return None
    rows = yield Query(_COMPILED, {}, is_exact=True)
    return frozenset(str(row[0]) for row in rows)


def _not_told(ours: Iterable[Finding], asked: Iterable[Finding]) -> Iterator[Finding]:
    """Yield those of `ours` that are about something that audit.check() has not told of."""
    told = {(found.finding, found.object) for found in asked}
    parts = {found.object for found in asked if " on " in found.object}
    for found in ours:
        if found.object not in parts and (found.finding, found.object) not in told:
            yield found


def _interval(span: timedelta) -> str:
    """Return `span` as PostgreSQL reads it."""
    return f"{span.days} days {span.seconds} seconds {span.microseconds} microseconds"
