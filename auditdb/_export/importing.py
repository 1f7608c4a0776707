"""Loads an export into the log of another database, row by row as it was, once and no more."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from auditdb._export import actions, formats, import_check, log_columns, verify
from auditdb._export.formats.base import LONGEST
from auditdb._export.import_months import Months
from auditdb._export.incoming import INCOMING, Statements, batches_again, send
from auditdb._query import page_cursor
from auditdb._upkeep import database
from auditdb.errors import (
    AuditError,
    DatabaseUnreachable,
    ImportFailed,
    InvalidExport,
    PermissionDenied,
    SchemaBehind,
    SchemaMissing,
    hinted,
    log_translated,
    translate,
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
    era: int | None
    """The number by which it can be undone; None where nothing was new."""


@dataclass(frozen=True, slots=True)
class _Layouts:
    """The layouts of an export in the log."""

    ours: dict[int, int]
    """The number that each has in the log, by the one in the export."""
    added: list[int]
    """Those that the log had not."""


def run(url: str, place: Path, progress: Progress, *, longest: int = LONGEST) -> Imported:
    """Import the export in `place`, after verifying it, with one transaction for each file.

    Rows keep their ids, times and transaction ids. Raises InvalidExport where the export is not as
    it was written or a row is longer than `longest` bytes, ImportFailed for CSV and for rows that
    the log has with other content or cannot read, PermissionDenied for all but the owner of the
    log. Nothing stays of an import that was refused; one that was broken off can be run again, or
    undone.
    """
    found = _verified(place, longest)
    again = hinted("When it is back, run the same import again.")
    with (
        again,
        database.connect(url, accept="same") as connection,
        log_translated(),
        _alone(url, connection) as keeper,
    ):
        _check_columns(connection, found.form.version)
        layouts = _adopted(connection, found)
        try:
            statements = Statements.of(found.form.version, layouts.ours)
            months = Months(connection)
            for moments in import_check.run(connection, place, found, statements):
                months.add(moments)
            _try_to_end(connection, found)
            months.make()
            era = _opened(connection, found, layouts)
        except (AuditError, psycopg.DatabaseError):
            _forget(connection, layouts)
            raise
        progress.begin(found.rows, 0)
        try:
            return _loaded(connection, place, found, statements, progress, era)
        except (ImportFailed, *import_check.REFUSED) as error:
            # Rows will not be taken whenever they come again, and exports must go on meanwhile.
            _undone(keeper, era)
            refused = error
    # Not before the undoing is committed, with the lock that kept others away.
    raise translate(refused) if isinstance(refused, psycopg.Error) else refused


def undo(url: str, era: int) -> int:
    """Undo the import of this number, whole or broken off; return how many rows it had.

    Raises DatabaseFailed where there is no such import, or something else refers to it, and
    PermissionDenied for all but the owner of the log.
    """
    with (
        database.connect(url, accept="same") as connection,
        log_translated(),
        _alone(url, connection) as keeper,
    ):
        return _undone(keeper, era)


def _undone(keeper: OwnConnection, era: int) -> int:
    row = keeper.execute("select audit.undo_import(%s)", [era]).fetchone()
    return int(row[0]) if row else 0


def _loaded(
    connection: psycopg.Connection[Any],
    place: Path,
    found: Manifest,
    statements: Statements,
    progress: Progress,
    era: int,
) -> Imported:
    """Load all files and end the import; what is refused is undone, what breaks off stays open."""
    new = 0
    try:
        for one in found.files:
            if one.rows:
                new += _load(connection, place / one.name, found, statements, era, progress)
        is_kept = _ended(connection, found, era, new)
    except import_check.REFUSED:
        raise
    except psycopg.Error as error:
        ours = translate(error)
        left = f"Run the same import again, or undo it: auditdb import --undo {era}"
        if isinstance(ours, DatabaseUnreachable):
            left = f"When it is back, run the same import again, or undo it with --undo {era}."
        raise type(ours)(ours.message, hint=ours.hint or left) from error
    return Imported(found.rows, new, era if is_kept else None)


def _opened(connection: psycopg.Connection[Any], found: Manifest, layouts: _Layouts) -> int:
    """Have exports wait for this import, and return the number of its era."""
    keys = [key for one in found.files for key in (one.first, one.last) if key is not None]
    moments = [key.moment for key in keys]
    about = {
        "sha256": found.sha256,
        "log": found.log,
        "rows": found.rows,
        "since": page_cursor.to_text(min(moments)) if moments else None,
        "until": page_cursor.to_text(max(moments)) if moments else None,
        "layouts": layouts.added,
    }
    row = connection.execute("select audit.open_import(%s)", [Jsonb(about)]).fetchone()
    return int(row[0]) if row else 0


def _ended(connection: psycopg.Connection[Any], found: Manifest, era: int, new: int) -> bool:
    """Let exports go on, in a new era where rows came in, and return whether there were any."""
    with connection.transaction():
        actions.add(connection, found.actions)
        # Where nothing came in, counting by transaction goes on as it was.
        row = connection.execute(
            "delete from audit.era where number = %s and imported -> 'new_rows' = '0'"
            " returning number",
            [era],
        ).fetchone()
        if row is None:
            connection.execute("select audit.begin_era()")
        _record(connection, found, new, era if row is None else None)
    return row is None


def _record(
    connection: psycopg.Connection[Any], found: Manifest, new: int, era: int | None
) -> None:
    connection.execute(
        "select audit.write_log_event('log_imported', %s, jsonb_strip_nulls(jsonb_build_object("
        "'rows', %s::bigint, 'new_rows', %s::bigint, 'sha256', %s::text,"
        " 'import', %s::integer)))",
        (found.filters.get("account_id"), found.rows, new, found.sha256, era),
    )


def _try_to_end(connection: psycopg.Connection[Any], found: Manifest) -> None:
    """Do what comes after the rows, and take it back: nothing of it shall fail then."""
    try:
        with connection.transaction(force_rollback=True):
            actions.add(connection, found.actions)
            _record(connection, found, found.rows, 1)
    except import_check.REFUSED as error:
        raise ImportFailed(
            f"manifest.json: its actions or filters cannot be kept: {error.diag.message_primary}.",
            hint="Nothing was imported.",
        ) from error


def _adopted(connection: psycopg.Connection[Any], found: Manifest) -> _Layouts:
    """Return for each layout of the export the number that it has in the log; add what lacks."""
    if not found.layouts:
        return _Layouts({}, [])
    layouts = Jsonb([one.as_json() for one in found.layouts])
    query = "select a.theirs, a.ours, a.is_added from audit.adopt_layouts(%s, %s) as a"
    try:
        with connection.transaction():
            rows = connection.execute(query, [found.log, layouts]).fetchall()
    except (psycopg.errors.UndefinedObject, *import_check.REFUSED) as error:
        raise ImportFailed(
            f"manifest.json: {error.diag.message_primary}.",
            hint="Import into a PostgreSQL that is no older than the one of the export.",
        ) from error
    return _Layouts(
        {theirs: ours for theirs, ours, _ in rows}, [ours for _, ours, is_added in rows if is_added]
    )


def _forget(connection: psycopg.Connection[Any], layouts: _Layouts) -> None:
    """Take away the layouts that came for rows which did not."""
    if layouts.added and not connection.broken:
        connection.execute("select audit.forget_layouts(%s)", [Jsonb(layouts.added)])


def _verified(place: Path, longest: int) -> Manifest:
    verified = verify.directory(place, longest=longest)
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
def _alone(url: str, connection: OwnConnection) -> Iterator[OwnConnection]:
    """Keep other imports out of the database, and those who may not import.

    Yields the connection that does so, in a transaction that ends with the block.
    """
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
        keeper.execute("set local statement_timeout = 0")
        # Long enough for an autovacuum to make way, which takes the same lock.
        keeper.execute("set local lock_timeout = '3s'")
        try:
            keeper.execute("lock table audit.era in share update exclusive mode")
        except psycopg.errors.LockNotAvailable as error:
            raise ImportFailed(
                "Another import into this log is under way.", hint="Wait for it."
            ) from error
        yield keeper


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
    era: int,
    progress: Progress,
) -> int:
    new = 0
    with connection.transaction():
        connection.execute(INCOMING)
        for batch in batches_again(path, found.form):
            send(connection, batch)
            added = connection.execute(statements.insert, {"era": -era}).fetchone()
            came = added[0] if added else 0
            if came < len(batch.lines):
                _check_same(connection, statements)
            connection.execute("truncate pg_temp.incoming")
            new += int(came)
            progress.advance(len(batch.lines))
        connection.execute(
            "update audit.era set imported ="
            " imported || jsonb_build_object('new_rows', (imported -> 'new_rows')::bigint + %s)"
            " where number = %s",
            [new, era],
        )
    return new


def _check_same(connection: psycopg.Connection[Any], statements: Statements) -> None:
    differing = connection.execute(statements.differing).fetchone()
    if differing is not None:
        raise ImportFailed(
            f"Row {differing[0]} of {differing[1]} is in the log with other content.",
            hint="The two logs have different histories; nothing of this file was imported.",
        )
