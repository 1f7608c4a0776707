"""Loads an export into the log of another database, row by row as it was, once and no more."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from auditdb._export import actions, formats, import_check, log_columns, verify
from auditdb._export.incoming import INCOMING, Statements, batches, send
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

    from auditdb._connection.own import OwnConnection
    from auditdb._export.export_request import Progress
    from auditdb._export.manifest import Manifest
    from auditdb._export.versions import FormatVersion


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
    it was written, ImportFailed for CSV and for rows that the log has with other content or cannot
    read, PermissionDenied for all but the owner of the log.
    """
    found = _verified(place)
    again = hinted("When it is back, run the same import again.")
    with (
        again,
        database.connect(url, accept="same") as connection,
        log_translated(),
        _alone(url, connection),
    ):
        _check_columns(connection, found.form.version)
        statements = Statements.of(found.form.version, _adopted(connection, found))
        progress.begin(found.rows, 0)
        if found.layouts:
            import_check.run(connection, place, found, statements)
        row = connection.execute("select audit.open_import()").fetchone()
        is_first = row is not None and row[0] is not None
        new = 0
        try:
            for one in found.files:
                if one.rows:
                    new += _load(connection, place / one.name, found, statements, progress)
        except (ImportFailed, psycopg.DataError, psycopg.IntegrityError):
            # Rows will not be taken whenever they come again, and exports must go on meanwhile.
            with connection.transaction():
                _end(connection, is_begun=bool(new) or not is_first)
            raise
        with connection.transaction():
            actions.add(connection, found.actions)
            _end(connection, is_begun=bool(new) or not is_first)
            connection.execute(
                "select audit.write_log_event('log_imported', %s, jsonb_build_object("
                "'rows', %s::bigint, 'new_rows', %s::bigint, 'sha256', %s::text))",
                (found.filters.get("account_id"), found.rows, new, found.sha256),
            )
    return Imported(found.rows, new)


def _end(connection: psycopg.Connection[Any], *, is_begun: bool) -> None:
    """Let exports go on: in a new era where rows came in, or may have."""
    if is_begun:
        connection.execute("select audit.begin_era()")
    else:
        # Nothing came in, so that counting by transaction goes on as it was.
        connection.execute("delete from audit.era where is_open")


def _adopted(connection: psycopg.Connection[Any], found: Manifest) -> dict[int, int]:
    """Return for each layout of the export the number that it has in the log; add what lacks."""
    if not found.layouts:
        return {}
    layouts = Jsonb([one.as_json() for one in found.layouts])
    query = "select a.theirs, a.ours from audit.adopt_layouts(%s, %s) as a"
    try:
        with connection.transaction():
            return dict(connection.execute(query, [found.log, layouts]).fetchall())
    except psycopg.errors.UndefinedObject as error:
        raise ImportFailed(
            f"{error.diag.message_primary}.",
            hint="Import into a PostgreSQL that is no older than the one of the export.",
        ) from error


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
def _alone(url: str, connection: OwnConnection) -> Iterator[None]:
    """Keep other imports out of the database, and those who may not import."""
    connection.set_in_each("statement_timeout", "0")
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
    # In a transaction of its own, which ends with the import whatever becomes of that: a lock of
    # the session would stay with a pooler. Nobody but the owner can lock the table so.
    with database.connect(url, accept="same") as keeper, keeper.transaction():
        keeper.execute("set local idle_in_transaction_session_timeout = 0")
        try:
            keeper.execute("lock table audit.era in share update exclusive mode nowait")
        except psycopg.errors.LockNotAvailable as error:
            raise ImportFailed(
                "Another import into this log is under way.", hint="Wait for it."
            ) from error
        yield


def _check_columns(connection: psycopg.Connection[Any], version: FormatVersion) -> None:
    """Raise SchemaBehind where the log lacks a column of the export."""
    has = log_columns.names(connection)
    if lacking := [name for name in version.names if name not in has]:
        raise SchemaBehind(f"audit.log has no column {lacking[0]}, which the export has.")


def _load(
    connection: psycopg.Connection[Any],
    path: Path,
    found: Manifest,
    statements: Statements,
    progress: Progress,
) -> int:
    new = 0
    with connection.transaction():
        connection.execute(INCOMING)
        for batch in batches(path, found.form):
            send(connection, batch)
            added = connection.execute(statements.insert).fetchone()
            came = added[0] if added else 0
            if came < len(batch.lines):
                _check_same(connection, statements)
            connection.execute("truncate pg_temp.incoming")
            new += int(came)
            progress.advance(len(batch.lines))
    return new


def _check_same(connection: psycopg.Connection[Any], statements: Statements) -> None:
    differing = connection.execute(statements.differing).fetchone()
    if differing is not None:
        raise ImportFailed(
            f"Row {differing[0]} of {differing[1]} is in the log with other content.",
            hint="The two logs have different histories; nothing of this file was imported.",
        )
