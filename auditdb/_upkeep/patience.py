"""Ends a statement that waits too long for others' transactions, where no setting can.

REINDEX CONCURRENTLY cannot be in a transaction, so that it would take a setting of the session to
bound its waits; behind a pooler that would be somebody else's session afterwards, and might not be
the one that the statement runs in. So a second connection looks after it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from psycopg import sql

from auditdb._connection.own import execute_alone, open_connection

if TYPE_CHECKING:
    from auditdb._connection.own import OwnConnection

_LOOK = 0.3
"""Seconds between two looks; most statements are done before the first."""

_WAITING = """
select a.pid,
  (select string_agg(concat_ws(', ', format('process %%s of role %%s', b.pid, b.usename),
      'application ' || quote_literal(nullif(b.application_name, '')), b.state,
      'since ' || to_char(b.xact_start, 'YYYY-MM-DD HH24:MI:SSOF')), '; ')
   from pg_stat_activity as b where b.pid = any (pg_blocking_pids(a.pid)))
from pg_stat_activity as a
where starts_with(a.query, %s) and a.wait_event_type = 'Lock' and a.pid <> pg_backend_pid()
"""


class WaitedTooLong(Exception):
    """Others were in the way for too long; the message says who."""


def execute_patiently(
    connection: psycopg.Connection[Any], statement: sql.Composable, patience: float
) -> None:
    """Run a statement outside of a transaction, which waits for others so many seconds in a row.

    Raises WaitedTooLong where it would wait for longer, and the errors of psycopg.
    """
    tag = f"/* auditdb {uuid4()} */"
    watch = _Watch(connection, tag, patience)
    watch.start()
    try:
        execute_alone(connection, sql.SQL("{} {}").format(sql.SQL(tag), statement))
    except psycopg.errors.QueryCanceled as error:
        watch.end()
        if watch.holders is None:
            raise
        raise WaitedTooLong(watch.holders) from error
    finally:
        watch.end()
    if watch.failed is not None:
        raise watch.failed


class _Watch(threading.Thread):
    """Looks after the statement that begins with a tag, from another connection."""

    def __init__(self, connection: psycopg.Connection[Any], tag: str, patience: float) -> None:
        super().__init__(name="auditdb-watch", daemon=True)
        info = connection.info
        self._parameters = {**info.get_parameters(), "password": info.password or None}
        self._tag = tag
        self._patience = patience
        self._is_over = threading.Event()
        self.holders: str | None = None
        """Who was in the way, where the statement was ended."""
        self.failed: psycopg.Error | None = None

    def end(self) -> None:
        """Look no more."""
        self._is_over.set()
        self.join()

    def run(self) -> None:
        """Look now and then, and end the statement when it has waited for too long."""
        if self._is_over.wait(min(_LOOK, self._patience)):
            return
        try:
            with open_connection(autocommit=True, **self._parameters) as connection:
                self._look_after(connection)
        except psycopg.Error as error:
            self.failed = error

    def _look_after(self, connection: OwnConnection) -> None:
        since: float | None = None
        while True:
            found = connection.execute(_WAITING, [self._tag]).fetchone()
            now = time.monotonic()
            since = (since or now) if found else None
            if found and since is not None and now - since >= self._patience:
                self.holders = found[1] or "a transaction that has ended since"
                connection.execute("select pg_cancel_backend(%s)", [found[0]])
                return
            if self._is_over.wait(_LOOK):
                return
