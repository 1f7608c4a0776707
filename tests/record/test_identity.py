"""(occurred_at, id, tx) is one row's own, ids grow in the order of doing, no clock stops writes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from auditdb._upkeep import migrate
from tests.support.effort import sized
from tests.support.helpers import value
from tests.support.servers import Server, running

TABLE = """
create table public.note (id serial primary key, session integer, n integer);
select audit.track('public.note');
"""
SESSIONS = 16

# Rows of the log in the order in which each session wrote them, those of an update after all.
DONE = """
select (e.changes -> 'session' ->> 'new')::integer, (e.changes -> 'n' ->> 'new')::integer, e.id
from audit.events as e
where e.action = 'note_created'
order by 1, 2
"""


def write(url: str, session: int, count: int) -> None:
    """Write notes one by one and many at once, in transactions of their own and in one."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        numbers = iter(range(10_000_000))
        for _ in range(count):
            connection.execute("insert into note (session, n) values (%s, %s)",
                               (session, next(numbers)))  # fmt: skip
        with connection.transaction():
            for _ in range(count):
                connection.execute("insert into note (session, n) values (%s, %s)",
                                   (session, next(numbers)))  # fmt: skip
            first = next(numbers)
            connection.execute(
                "insert into note (session, n) select %s, n"
                " from generate_series(%s::integer, %s) as n",
                (session, first, first + 5 * count),
            )


def test_sessions_that_write_at_once_share_no_identity(engine_database: str) -> None:
    count = sized(40, 400)
    with closing(psycopg.connect(engine_database, autocommit=True)) as owner:
        owner.execute(TABLE)
        with ThreadPoolExecutor(SESSIONS) as pool:
            for done in [pool.submit(write, engine_database, s, count) for s in range(SESSIONS)]:
                done.result()
        written, distinct = owner.execute(
            "select count(*), count(distinct (occurred_at, id, tx)) from audit.log"
            " where action = 'note_created'"
        ).fetchone() or (0, 0)
        assert written == SESSIONS * (7 * count + 1)
        assert distinct == written
        rows = owner.execute(DONE.encode()).fetchall()
    for session in range(SESSIONS):
        ids = [id_ for of, _, id_ in rows if of == session]
        assert ids == sorted(set(ids))


def library() -> Path | None:
    """Return the library of Debian's package libfaketime, None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@contextmanager
def clockwork(bindir: Path, version: int) -> Iterator[tuple[Server, Path]]:
    """Run a server whose clock is what a file says: `+0` as it is, or a time at which it stands."""
    preload = library()
    if preload is None:
        pytest.skip("libfaketime is not installed (Debian's package faketime)")
    place = Path(tempfile.mkdtemp(prefix="auditdb-clock-", dir="/tmp"))
    try:
        place.chmod(0o755)
        clock = place / "clock"
        clock.write_text("+0\n")
        environment = {
            "LD_PRELOAD": str(preload),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }
        with running(bindir, version, environment=environment) as server:
            yield server, clock
    finally:
        shutil.rmtree(place)


@pytest.mark.slow
def test_no_clock_stops_a_write(server: Server) -> None:
    if not (server.bindir / "initdb").exists() or not os.access("/tmp", os.W_OK):
        pytest.skip("a server of the test's own needs the programs of the server, here")
    with clockwork(server.bindir, server.version) as (own, clock):
        own.clone("clock", "template0")
        migrate.upgrade(own.url("clock"), "audit@head")
        with closing(psycopg.connect(own.url("clock"), autocommit=True)) as session:
            session.execute(TABLE)
            times = ("2030-05-01 12:00:00", "2030-05-01 11:00:00", "1999-12-31 23:59:59")
            for place, time in enumerate(times):
                clock.write_text(f"{time}\n")
                assert value(session, "select clock_timestamp() = %s::timestamptz", f"{time}Z")
                for _ in range(3):
                    session.execute("insert into note (session, n) values (%s, 0)", (place,))
                session.execute(
                    "insert into note (session, n) select %s, n from generate_series(1, 100) as n",
                    (place,),
                )
                session.execute("update note set n = n + 1 where session = %s", (place,))
                session.execute("delete from note where session = %s", (place,))
            clock.write_text("+0\n")
            found = session.execute(
                "select action, count(*) from audit.events where item_type = 'note'"
                " group by 1 order by 1"
            ).fetchall()
            assert found == [
                (f"note_{action}", 103 * len(times)) for action in ("created", "deleted", "updated")
            ]
            # Every row is on its item's page, also those that share their time and number.
            assert value(session, "select count(*) from audit.item_log('note', '50')") == 3
