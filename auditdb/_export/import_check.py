"""Before an import writes anything: the database reads each record as what its row says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from auditdb._export.incoming import INCOMING, batches, send
from auditdb.errors import ImportFailed

if TYPE_CHECKING:
    from pathlib import Path

    from auditdb._export.incoming import Statements
    from auditdb._export.manifest import Manifest


def run(
    connection: psycopg.Connection[Any], place: Path, found: Manifest, statements: Statements
) -> None:
    """Raise ImportFailed, naming file and row, where a record does not read as its layout."""
    for one in found.files:
        with connection.transaction():
            connection.execute(INCOMING)
            for batch in batches(place / one.name, found.form):
                send(connection, batch)
                number, why = _misread(
                    connection, statements, batch.first, batch.first + len(batch.lines) - 1
                )
                if number is not None:
                    raise ImportFailed(
                        f"{one.name}: row {number}: its row_values do not read as its changes"
                        f" say{f': {why}' if why else ''}.",
                        hint="Nothing was imported.",
                    )
                connection.execute("truncate pg_temp.incoming")


def _misread(
    connection: psycopg.Connection[Any], statements: Statements, first: int, last: int
) -> tuple[int | None, str]:
    """Return the number of a row that is not read as it says, and why it cannot be read."""
    try:
        with connection.transaction():
            row = connection.execute(statements.misread, {"first": first, "last": last}).fetchone()
    except psycopg.DataError as error:
        if first == last:
            return first, str(error.diag.message_primary)
        middle = (first + last) // 2
        number, why = _misread(connection, statements, first, middle)
        return (number, why) if number else _misread(connection, statements, middle + 1, last)
    return (row[0] if row else None), ""
