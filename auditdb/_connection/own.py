"""Connections that this package opens: nothing that others put into a schema is run on them.

The settings of a connection belong to whoever gets it from a pooler next, so that what is ours is
set in each transaction and ends with it; and no statement is prepared on the server, where another
connection may be the one that runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq, sql

if TYPE_CHECKING:
    from collections.abc import Generator

    from psycopg.abc import Params, Query

_PINS = (
    b"set local search_path = pg_catalog, pg_temp",
    # Compiling a plan takes longer than it spares in all that this package asks.
    b"set local jit = off",
)


class OwnConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which a name without a schema is one of PostgreSQL's."""

    _settings: tuple[sql.Composed, ...] = ()
    """What each transaction sets beside the search_path."""

    def set_in_each(self, setting: str, value: str) -> None:
        """Have each transaction from now on begin with a setting, which ends with it."""
        name = sql.SQL(".").join(map(sql.Identifier, setting.split(".")))
        self._settings += (sql.SQL("set local {} = {}").format(name, value),)

    # psycopg offers no hook for the begin of a transaction. Every one it makes, for a statement, a
    # block or a cursor, goes through this method; tests say when that changes.
    def _exec_command(
        self, command: Any, result_format: pq.Format = pq.Format.TEXT
    ) -> Generator[Any, Any, Any]:
        result = yield from super()._exec_command(command, result_format)
        if command == self._get_tx_start_command():
            statements: tuple[Any, ...] = (*_PINS, *self._settings)
            for statement in statements:
                yield from super()._exec_command(statement)
        return result

    def execute(
        self,
        query: Any,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool = False,
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run a statement as any connection does, always within a transaction."""
        if not self.autocommit or self.info.transaction_status != pq.TransactionStatus.IDLE:
            return super().execute(query, params, prepare=prepare, binary=binary)
        with self.transaction():
            return super().execute(query, params, prepare=prepare, binary=binary)


def open_connection(*, autocommit: bool, **parameters: Any) -> OwnConnection:
    """Return a connection with these parameters of libpq; raises the errors of psycopg."""
    return OwnConnection.connect("", autocommit=autocommit, prepare_threshold=None, **parameters)


def execute_alone(connection: psycopg.Connection[Any], statement: Query) -> None:
    """Run a statement that cannot be in a transaction, such as VACUUM, in autocommit mode.

    It must be one that looks up no function or operator, since no search_path is set for it.
    """
    with connection.cursor() as cursor:
        cursor.execute(statement)
