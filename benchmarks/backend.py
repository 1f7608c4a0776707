"""Measures one session: CPU time of its backend, and what it adds to the log and to the WAL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.support.servers import Server

# All that is kept beside the tables that are written to, whatever a system calls it.
_KEPT = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
from pg_class as c
where c.relkind = 'r'
  and c.oid >= 16384
  and c.relnamespace not in (
    'pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
  and not c.oid::regclass::text = any (%s)
"""
_WAL = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


@dataclass(frozen=True, slots=True)
class Cost:
    """What some statements cost."""

    cpu: float
    """CPU time of the backend in µs."""
    wal: int
    """Bytes of WAL that the server wrote."""
    log: int
    """Bytes by which the relations that keep the audit grew, with their indexes."""


class Watched:
    """A session whose backend is on this machine, so that its CPU time can be read."""

    def __init__(self, url: str, written: Iterable[str]) -> None:
        """Connect; `written` are the tables that are not part of any log, as regclass shows."""
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("set statement_timeout to 0")
        self._written = list(written)
        self._schedstat = Path(f"/proc/{self.connection.info.backend_pid}/schedstat")

    def close(self) -> None:
        """End the session."""
        self.connection.close()

    def cpu(self) -> float:
        """Return the CPU time of the backend so far, in µs; the scheduler counts nanoseconds."""
        return int(self._schedstat.read_text().split()[0]) / 1000

    def number(self, statement: LiteralString, *parameters: object) -> int:
        """Return the one number that a statement answers."""
        row = self.connection.execute(statement, parameters).fetchone()
        if row is None:
            raise RuntimeError(f"no answer to {statement}")
        return int(row[0])

    def cost(self, work: Callable[[], object]) -> Cost:
        """Return what `work` costs, which uses this session alone."""
        kept, wal = self.number(_KEPT, self._written), self.number(_WAL)
        cpu = self.cpu()
        work()
        cpu = self.cpu() - cpu
        wal = self.number(_WAL) - wal
        return Cost(cpu, wal, self.number(_KEPT, self._written) - kept)

    def run(
        self,
        statement: LiteralString,
        rows: Sequence[Sequence[object]],
        *,
        actor: Sequence[str],
        limit: int = 0,
    ) -> None:
        """Execute a statement for each row of parameters, in one transaction with an actor.

        Raises:
            psycopg.errors.QueryCanceled: if one execution takes more than `limit` seconds, not 0.
        """
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute(f"set local statement_timeout to '{limit}s'".encode())
            for setting in actor:
                cursor.execute(setting.encode())
            cursor.executemany(statement, rows)


def quiet(server: Server) -> None:
    """Keep the server's own chores out of what is measured."""
    server.execute("alter system set autovacuum = off")
    server.execute("alter system set checkpoint_timeout = '1h'")
    server.execute("alter system set max_wal_size = '4GB'")
    server.execute("select pg_reload_conf()")
