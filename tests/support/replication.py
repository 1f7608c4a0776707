"""Logical replication between two databases of one server, for what it brings to a log."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from auditdb._upkeep import migrate
from tests.support.servers import Server, running

NAME = "from_there"
"""What the publication, the subscription and its slot are called."""

_TEMPLATE = "migrated"


@contextlib.contextmanager
def logical(server: Server) -> Iterator[Server]:
    """Run a server as `server` is that can publish, with a template for databases with a log.

    Skips the test where the server is not of this machine.
    """
    if not Path(server.host).is_dir():
        pytest.skip("a server that publishes needs the programs of the server, here")
    # What was committed is sent at once.
    more = {"wal_level": "logical", "synchronous_commit": "on"}
    with running(server.bindir, server.version, more=more) as started:
        started.execute("create database {}", _TEMPLATE)
        migrate.upgrade(started.url(_TEMPLATE), "audit@head")
        yield started


@dataclass(frozen=True, slots=True)
class Pair:
    """A database that publishes, and one that subscribes."""

    server: Server
    there: psycopg.Connection
    here: psycopg.Connection

    @property
    def url(self) -> str:
        """The URL of the database that subscribes."""
        return self.server.url("here")

    def subscribe(self, tables: str, *, via_root: bool = True) -> None:
        """Have `tables` of there come here, and wait until they have been copied."""
        self.there.execute(
            f"create publication {NAME} for table {tables}"
            f" with (publish_via_partition_root = {via_root})".encode()
        )
        # In its own server a subscription would wait for the end of the transaction that makes it.
        self.there.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [NAME])
        place = f"host={self.server.host} port={self.server.port} user={self.server.user}"
        self.here.execute(
            sql.SQL(
                "create subscription {} connection {} publication {} with (create_slot = false)"
            ).format(
                sql.Identifier(NAME), sql.Literal(f"{place} dbname=there"), sql.Identifier(NAME)
            )
        )
        self._wait(self.here, "select bool_and(srsubstate = 'r') from pg_subscription_rel")
        self.caught_up()

    def caught_up(self) -> None:
        """Wait until all that was written there is here."""
        (end,) = self.there.execute("select pg_current_wal_lsn()::text").fetchone() or ("",)
        self._wait(
            self.there,
            "select confirmed_flush_lsn >= %s::pg_lsn from pg_replication_slots"
            " where slot_name = %s",
            end,
            NAME,
        )

    def unsubscribe(self) -> None:
        """End it; what came stays."""
        self.here.execute(f"drop subscription if exists {NAME}".encode())
        self.there.execute(f"drop publication if exists {NAME}".encode())

    def _wait(self, connection: psycopg.Connection, query: str, *values: str) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if connection.execute(query.encode(), values).fetchone() == (True,):
                return
            time.sleep(0.02)
        raise AssertionError(f"it did not come to this: {query}")


@contextlib.contextmanager
def pair(server: Server) -> Iterator[Pair]:
    """Make the two databases on a server of logical(), and drop them in the end."""
    for name in ("there", "here"):
        server.clone(name, _TEMPLATE)
    with contextlib.ExitStack() as cleanup:
        for name in ("there", "here"):
            cleanup.callback(server.execute, "drop database {} with (force)", name)
        there, here = (
            cleanup.enter_context(psycopg.connect(server.url(name), autocommit=True))
            for name in ("there", "here")
        )
        made = Pair(server, there, here)
        cleanup.callback(made.unsubscribe)
        yield made
