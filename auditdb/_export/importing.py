"""Loads an export into the log of another database, row by row as it was, once and no more."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from auditdb._export import formats, log_columns, reader, verify
from auditdb._upkeep import database
from auditdb.errors import (
    ImportFailed,
    InvalidExport,
    PermissionDenied,
    SchemaBehind,
    SchemaMissing,
    hinted,
    log_translated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.export_request import Progress
    from auditdb._export.manifest import Manifest
    from auditdb._export.versions import FormatVersion

BATCH = 10_000
"""Rows that are sent to the database at a time."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    rows: int
    """Rows of the export."""
    new: int
    """Those that were not in the log before."""


def run(url: str, place: Path, progress: Progress) -> Imported:
    """Import the export in `place`, after verifying it, with one transaction for each file.

    Rows keep their ids, times and transaction ids. Raises InvalidExport where the export is not as
    it was written, ImportFailed for CSV and for rows that the log has with other content,
    PermissionDenied for all but the owner of the log.
    """
    found = _verified(place)
    again = hinted("When it is back, run the same import again.")
    with (
        again,
        database.connect(url, accept="same") as connection,
        log_translated(),
        _alone(connection),
    ):
        _check_columns(connection, found.form.version)
        row = connection.execute("select audit.open_import()").fetchone()
        is_first = row is not None and row[0] is not None
        progress.begin(found.rows, 0)
        new = sum(
            _load(connection, place / one.name, found, progress) for one in found.files if one.rows
        )
        with connection.transaction():
            if new or not is_first:
                connection.execute("select audit.begin_era()")
            else:
                # Nothing came in, so that counting by transaction goes on as it was.
                connection.execute("delete from audit.era where is_open")
            connection.execute(
                "select audit.write_log_event('log_imported', %s, jsonb_build_object("
                "'rows', %s::bigint, 'new_rows', %s::bigint, 'sha256', %s::text))",
                (found.filters.get("account_id"), found.rows, new, found.sha256),
            )
    return Imported(found.rows, new)


def _verified(place: Path) -> Manifest:
    verified = verify.directory(place)
    if verified.mismatches:
        raise InvalidExport(
            f"{place} is not as it was exported: {verified.mismatches[0]}.",
            hint=f"Run `auditdb verify {place}` for all that differs; nothing was imported.",
        )
    its_format = verified.manifest.form.format
    if not its_format.can_import:
        others = [one for one in formats.FORMATS.values() if one.can_import]
        raise ImportFailed(
            f"{its_format.title} cannot be imported.",
            hint=f"Export as {' or '.join(one.title for one in others)}: "
            f"--format {others[0].name}.",
        )
    return verified.manifest


@contextmanager
def _alone(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Keep other imports out of the database, and those who may not import."""
    connection.execute("select set_config('statement_timeout', '0', false)")
    row = connection.execute(
        "select to_regclass('audit.era') is not null, current_user,"
        " pg_has_role(c.relowner, 'usage')"
        " from (select) as o left join pg_class as c on c.oid = to_regclass('audit.log')"
    ).fetchone()
    is_installed, role, is_owner = row or (False, "", False)
    if not is_installed:
        raise SchemaMissing
    if not is_owner:
        raise PermissionDenied(
            f"Role {role} may not import: only the owner of audit.log may add rows to it.",
            hint="Connect as the role that ran `auditdb upgrade`.",
        )
    row = connection.execute(
        "select pg_try_advisory_lock(hashtextextended('audit.import', 0))"
    ).fetchone()
    if row != (True,):
        raise ImportFailed("Another import into this log is under way.", hint="Wait for it.")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtextextended('audit.import', 0))")


def _check_columns(connection: psycopg.Connection[Any], version: FormatVersion) -> None:
    """Raise SchemaBehind where the log lacks a column of the export."""
    has = log_columns.names(connection)
    if lacking := [name for name in version.names if name not in has]:
        raise SchemaBehind(f"audit.log has no column {lacking[0]}, which the export has.")


def _load(
    connection: psycopg.Connection[Any], path: Path, found: Manifest, progress: Progress
) -> int:
    new = 0
    lines = (row.line for row in reader.rows(path, found.form))
    statements = _Statements.of(found.form.version)
    with connection.transaction():
        connection.execute("create temporary table incoming (line jsonb) on commit drop")
        while batch := list(islice(lines, BATCH)):
            new += _add(connection, batch, statements)
            progress.advance(len(batch))
    return new


def _add(connection: psycopg.Connection[Any], batch: list[str], statements: _Statements) -> int:
    with (
        connection.cursor() as cursor,
        cursor.copy("copy pg_temp.incoming (line) from stdin") as copy,
    ):
        for line in batch:
            copy.write_row((line,))
    added = connection.execute(statements.insert).fetchone()
    new = added[0] if added else 0
    if new < len(batch):
        _check_same(connection, statements)
    connection.execute("truncate pg_temp.incoming")
    return int(new)


def _check_same(connection: psycopg.Connection[Any], statements: _Statements) -> None:
    differing = connection.execute(statements.differing).fetchone()
    if differing is not None:
        raise ImportFailed(
            f"Row {differing[0]} of {differing[1]} is in the log with other content.",
            hint="The two logs have different histories; nothing of this file was imported.",
        )


_INSERT = """
with added as (
  insert into audit.log ({names}, era)
  select {cells}, 0
  from pg_temp.incoming as i
  -- Asked row by row, so that each is one index probe in one partition.
  where not coalesce((
    select true
    from audit.log as l
    where l.account_id = i.line ->> 'account_id'
      and l.occurred_at = (i.line ->> 'occurred_at')::timestamptz
      and l.id = (i.line ->> 'id')::bigint
    limit 1), false)
  returning 1
)
select count(*) from added
"""
_DIFFERING = """
select l.id, l.occurred_at::text
from pg_temp.incoming as i
join audit.events as l on l.account_id = i.line ->> 'account_id'
  and l.occurred_at = (i.line ->> 'occurred_at')::timestamptz
  and l.id = (i.line ->> 'id')::bigint
where ({theirs}) is distinct from ({cells})
limit 1
"""


@dataclass(frozen=True, slots=True)
class _Statements:
    """How rows of a format version get into the log; a column that it has not takes its default."""

    insert: sql.Composed
    """Adds the incoming rows that are not there; returns how many."""
    differing: sql.Composed
    """Finds a row that is there with other content."""

    @classmethod
    def of(cls, version: FormatVersion) -> _Statements:
        # The names and types are constants of this package.
        cells = sql.SQL(", ".join(_cell(name, kind) for name, kind in version.columns.items()))
        names = sql.SQL(", ".join(version.names))
        theirs = sql.SQL(", ".join(f"l.{name}" for name in version.names))
        return cls(
            sql.SQL(_INSERT).format(names=names, cells=cells),
            sql.SQL(_DIFFERING).format(theirs=theirs, cells=cells),
        )


def _cell(name: str, kind: str) -> str:
    if kind == "jsonb":
        return f"nullif(i.line -> '{name}', 'null'::jsonb)"
    return f"(i.line ->> '{name}')" + ("" if kind == "text" else f"::{kind}")
