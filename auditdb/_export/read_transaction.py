"""Short read-only transactions in which nothing of the session changes what is read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from auditdb.errors import PermissionDenied, log_translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "search_path": "pg_catalog, pg_temp",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # Slices are sorted in memory.
    "work_mem": "64MB",
}
# A policy that lets this role see all rows, and no restrictive one beside it.
_SEES_ALL = """
select not pg_catalog.row_security_active('audit.log'::pg_catalog.regclass)
    or (pg_catalog.bool_or(p.polpermissive and p.polcmd in ('r', '*')
          and pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true')
      and pg_catalog.bool_and(p.polpermissive)),
  pg_catalog.row_security_active('audit.log'::pg_catalog.regclass), current_user
from pg_catalog.pg_policy as p
where p.polrelid = 'audit.log'::pg_catalog.regclass
  and exists (
    select from pg_catalog.unnest(p.polroles) as r (role)
    where case when r.role = 0 then true else pg_catalog.pg_has_role(r.role, 'usage') end)
"""


@contextmanager
def reading(connection: psycopg.Connection[Any], *, row_security: bool = False) -> Iterator[None]:
    """Read in one transaction with UTC, ISO dates and, by default, an error for hidden rows.

    Settings hold for the transaction only, so that a pooler between here and the server is fine.
    Errors of the database come as AuditError.
    """
    settings = _SETTINGS | {"row_security": "on" if row_security else "off"}
    calls = ", ".join(["pg_catalog.set_config(%s, %s, true)"] * len(settings))
    values = [word for setting in settings.items() for word in setting]
    with log_translated(), connection.transaction():
        connection.execute("set transaction read only")
        connection.execute(f"select {calls}".encode(), values)
        yield


def needs_row_security(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the role sees the whole log through a policy rather than past them all.

    Raises PermissionDenied where it sees only some rows: what it would export is not the log.
    """
    all_rows, is_active, role = _sight(connection)
    if not all_rows and is_active:
        raise PermissionDenied(
            f"Role {role} is under row security: it would export some rows and leave out the rest.",
            hint="Export as a member of audit_exporter or as the owner of the log.",
        )
    return is_active


def sees_all(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the role sees the rows of every account. Raises errors as AuditError."""
    return _sight(connection)[0]


def _sight(connection: psycopg.Connection[Any]) -> tuple[bool, bool, str]:
    """Return whether the role sees all rows, whether row security counts for it, and its name."""
    with reading(connection, row_security=True):
        row = connection.execute(_SEES_ALL).fetchone()
    all_rows, is_active, role = row or (False, True, "")
    return bool(all_rows), bool(is_active), str(role)
