"""Which revision of the log this package works on, and whether a database is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from auditdb.errors import SchemaAhead, SchemaBehind, translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

Accepted: TypeAlias = Literal["any", "same", "newer"]
"""What a database may have: any revision, that of this package alone, or that and newer ones."""

_AUDIT = re.compile(r"audit_(\d+)")
_LICENSING = re.compile(r"licensing_(\d+)")
_DEPENDS_ON = re.compile(r'^depends_on\b.*"(audit_\d+)"', re.MULTILINE)

# A log that psql installed has no such table, and not every role may read it.
_VERSION_TABLE = """
select exists (
  select from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where n.nspname = 'audit' and c.relname = 'alembic_version'
    and pg_catalog.has_schema_privilege(n.oid, 'usage')
    and pg_catalog.has_table_privilege(c.oid, 'select'))
"""


def directory() -> Path:
    """Return the folder of the migrations: in the package, or beside it in a checkout."""
    here = Path(__file__).parents[1]
    inside = here / "migrations"
    return inside if inside.is_dir() else here.parent / "migrations"


def needed() -> str:
    """Return the newest revision of the log that this package brings, such as audit_0001."""
    return _newest(path.name for path in _files("audit")) or ""


def installed(connection: psycopg.Connection[Any]) -> str | None:
    """Return the revision of the log behind `connection`; None where there is none, or none to see.

    A revision of the example stands for the one of the log that it depends on: Alembic notes no
    revision beside one that depends on it. Raises errors of the database as AuditError.
    """
    with translated():
        if connection.execute(_VERSION_TABLE).fetchone() != (True,):
            return None
        rows = connection.execute("select version_num from audit.alembic_version").fetchall()
    return of_versions([str(row[0]) for row in rows])


def of_versions(found: list[str]) -> str | None:
    """Return the revision of the log that these in its version table stand for; None for none."""
    return _newest([*found, *_implied(found)])


def require(connection: psycopg.Connection[Any], accept: Accepted) -> None:
    """Raise SchemaBehind or SchemaAhead where the log is not of a revision to `accept`.

    Where the revision cannot be told, nothing is raised.
    """
    found = None if accept == "any" else installed(connection)
    if found is None:
        return
    known = needed()
    if _number(found) < _number(known):
        raise SchemaBehind(
            f"The audit log of the database is at {found}, this auditdb needs {known}."
        )
    if accept == "same" and _number(found) > _number(known):
        raise ahead((found,))


def ahead(unknown: Iterable[str]) -> SchemaAhead:
    """Return the error to raise where the database has revisions that are `unknown` here."""
    return SchemaAhead(
        f"The database is at {', '.join(unknown)}, which this auditdb does not know: it goes up "
        f"to {needed()}.",
        hint="Install the auditdb that upgraded it, or a newer one.",
    )


def _files(branch: str) -> Iterable[Path]:
    return (directory() / "versions").glob(f"{branch}_*.py")


def _implied(revisions: list[str]) -> list[str]:
    newest = max((int(m[1]) for r in revisions if (m := _LICENSING.fullmatch(r))), default=0)
    return [
        depends[1]
        for path in _files("licensing")
        if (number := _LICENSING.match(path.name)) and int(number[1]) <= newest
        if (depends := _DEPENDS_ON.search(path.read_text("utf-8")))
    ]


def _newest(names: Iterable[str]) -> str | None:
    found = [match[0] for name in names if (match := _AUDIT.match(name))]
    return max(found, key=_number, default=None)


def _number(revision: str) -> int:
    return int(revision.rpartition("_")[2])
