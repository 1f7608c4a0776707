"""Looks after statements that wait for others' transactions: who they are, and when it is enough.

REINDEX CONCURRENTLY cannot be in a transaction, so that it would take a setting of the session to
bound its waits; behind a pooler that would be somebody else's session afterwards, and might not be
the one that the statement runs in. So a second connection looks after it. And where PostgreSQL
itself ends a wait, it does not say for whom it was, and after it nobody knows.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from psycopg import sql

from auditdb._connection.own import execute_alone, open_connection
from auditdb._upkeep import database
from auditdb.errors import AuditError, LogBusy, translated

if TYPE_CHECKING:
    from auditdb._connection.own import OwnConnection

_LOOK = 0.3
"""Seconds between two looks; most statements are done before the first."""

# Of the session of that number, or of the one whose statement begins so.
_WAITING = """
select a.pid, coalesce(
  (select string_agg(concat_ws(', ', format('process %%s of role %%s', b.pid, b.usename),
      'application ' || quote_literal(nullif(b.application_name, '')), b.state,
      'since ' || to_char(b.xact_start, 'YYYY-MM-DD HH24:MI:SSOF')), '; ' order by b.pid)
   from pg_stat_activity as b where b.pid = any (pg_blocking_pids(a.pid))),
  'a prepared transaction, which pg_prepared_xacts has')
from pg_stat_activity as a
where a.wait_event_type = 'Lock' and a.pid <> pg_backend_pid()
  and (a.pid = %(process)s::integer or starts_with(a.query, %(tag)s::text))
"""


BOUND = """
select pg_catalog.set_config('lock_timeout', case pg_catalog.current_setting('lock_timeout')
  when '0' then '30s' else pg_catalog.current_setting('lock_timeout') end, true)
"""
"""The statement after which a transaction waits for no lock for ever; what somebody set stays."""


class WaitedTooLong(Exception):
    """Others were in the way for too long; the message says who."""


def said(error: psycopg.Error) -> str:
    """Return what the database said in an error, without a full stop."""
    return (error.diag.message_primary or str(error)).rstrip(".")


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
            found = connection.execute(_WAITING, {"process": None, "tag": self._tag}).fetchone()
            now = time.monotonic()
            since = (since or now) if found else None
            if found and since is not None and now - since >= self._patience:
                self.holders = found[1]
                connection.execute("select pg_cancel_backend(%s)", [found[0]])
                return
            if self._is_over.wait(_LOOK):
                return


class Witness(threading.Thread):
    """Sees for whom a session waits, while the `with` block runs."""

    def __init__(self, url: str) -> None:
        super().__init__(name="auditdb-witness", daemon=True)
        self._url = url
        self._is_over = threading.Event()
        self.process: int | None = None
        """The session, once it is known."""
        self.holders: str | None = None
        """Who was in its way when it was seen to wait last."""

    def __enter__(self) -> Witness:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self.join()

    def run(self) -> None:
        """Look now and then."""
        while not self._is_over.wait(_LOOK):
            if self.process is not None:
                # Whoever is waited for is worth a word, but no upgrade fails for want of it.
                with suppress(AuditError), database.connect(self._url, accept="any") as connection:
                    self._look(connection, self.process)

    def _look(self, connection: OwnConnection, process: int) -> None:
        while True:
            with translated():
                found = connection.execute(_WAITING, {"process": process, "tag": None}).fetchone()
            if found:
                self.holders = found[1]
            if self._is_over.wait(_LOOK):
                return

    def gave_up(self, error: psycopg.Error) -> LogBusy:
        """Return the error for a lock that was not to be had."""
        what = said(error)
        if self.holders and not what.startswith("gave up waiting"):
            what = f"gave up waiting for a lock: {self.holders}"
        return LogBusy(
            f"Nothing was done: {what}.",
            hint="Try again when that transaction has ended, or end it with "
            "pg_terminate_backend(). How long to wait: PGOPTIONS='-c lock_timeout=60s'.",
        )
