"""Before an import writes anything: the database reads each row, and its record as what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from auditdb._export.incoming import INCOMING, TRIAL, batches, send
from auditdb.errors import ImportFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.incoming import Batch, Statements
    from auditdb._export.manifest import Manifest

REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
"""What the database raises for rows that it will not take whenever they come."""


def run(
    connection: psycopg.Connection[Any], place: Path, found: Manifest, statements: Statements
) -> Iterator[list[int]]:
    """Check all rows, and yield the times of some after others, in microseconds since 1970.

    Raises ImportFailed, naming file and row, where a value is none of its column, a key is too long
    for an index, or a record does not read as its row says.
    """
    for one in found.files:
        with connection.transaction(force_rollback=True):
            connection.execute(INCOMING)
            connection.execute(TRIAL)
            for batch in batches(place / one.name, found.form):
                if refused := _refused(connection, statements, batch):
                    number, why = refused
                    raise ImportFailed(
                        f"{one.name}: row {number}: {why}.", hint="Nothing was imported."
                    )
                yield batch.moments


def _refused(
    connection: psycopg.Connection[Any], statements: Statements, batch: Batch
) -> tuple[int, str] | None:
    """Return the number of a row that the database does not take, and why; None for none."""
    try:
        with connection.transaction(force_rollback=True):
            send(connection, batch)
            connection.execute(statements.attempt)
            # A record that cannot be read at all is told apart from what is none of its column.
            misread = _misread(connection, statements)
    except REFUSED as error:
        if len(batch.lines) == 1:
            return batch.first, str(error.diag.message_primary)
        middle = len(batch.lines) // 2
        return _refused(connection, statements, batch.part(0, middle)) or _refused(
            connection, statements, batch.part(middle, len(batch.lines))
        )
    if misread is None:
        return None
    number, why = misread
    return number, f"its row_values do not read as its changes say{f': {why}' if why else ''}"


def _misread(connection: psycopg.Connection[Any], statements: Statements) -> tuple[int, str] | None:
    try:
        with connection.transaction():
            row = connection.execute(statements.misread).fetchone()
    except REFUSED as error:
        count = connection.execute("select count(*), min(number) from pg_temp.incoming").fetchone()
        if count is None or count[0] > 1:
            raise
        return count[1], str(error.diag.message_primary)
    return None if row is None else (row[0], "")
