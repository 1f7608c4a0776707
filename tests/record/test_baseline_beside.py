"""A baseline beside writers, broken off again and again: every change joins on to what it told."""

import random
import threading
from contextlib import closing
from datetime import datetime
from typing import Any

import psycopg
import pytest

import auditdb
from tests.support.baseline import FILL, MOVED, TABLE, Writers, faults
from tests.support.effort import sized
from tests.support.helpers import value

ROWS = sized(1500, 20_000)
WRITERS = sized(4, 8)
KILLS = sized(4, 20)
BATCH = sized(100, 300)


class _Baseline:
    """A session that tells batches until all is done, and can be killed at any moment."""

    def __init__(self, database: str) -> None:
        self._database = database
        self.batches = 0
        self.is_done = False
        self.failure: BaseException | None = None

    def run(self, until: int | None) -> None:
        """Tell batches, and be killed in the middle of one after `until` of them."""
        with closing(psycopg.connect(self._database, autocommit=True)) as session:
            if until is not None:
                self._killed_after(session, until)
                return
            while not self.is_done:
                self._batch(session)

    def _batch(self, session: psycopg.Connection) -> None:
        row = session.execute("select is_done from audit.baseline('public.note', %s)", [BATCH])
        ((self.is_done,),) = row.fetchall()
        self.batches += 1

    def _go_on(self, session: psycopg.Connection) -> None:
        while True:
            self._batch(session)

    def _killed_after(self, session: psycopg.Connection, until: int) -> None:
        for _ in range(until):
            self._batch(session)
            if self.is_done:
                return
        # In one transaction with the batch, so that it dies with it, whenever that is.
        killer = threading.Thread(target=_kill, args=(self._database, session.info.backend_pid))
        killer.start()
        with pytest.raises(psycopg.OperationalError):
            self._go_on(session)
        killer.join()
        self.is_done = False


def _kill(database: str, pid: int) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as session:
        assert value(session, "select pg_terminate_backend(%s, 10000)", pid)


def test_a_baseline_beside_writers_is_exact(engine_database: str) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    chance = random.Random(seed)
    with closing(psycopg.connect(engine_database, autocommit=True)) as session:
        session.execute(TABLE)
        session.execute(FILL.format(ROWS).encode())
        session.execute("select audit.track('public.note')")
        writers = Writers(engine_database, ROWS, WRITERS, seed)
        with writers.writing():
            baseline = _Baseline(engine_database)
            for _ in range(KILLS):
                baseline.run(chance.randint(0, ROWS // BATCH // KILLS))
            baseline.run(None)
            done = value(session, "select clock_timestamp()")
            wanted = writers.written + 50 * WRITERS
            while writers.written < wanted and not writers.failures:
                session.execute("select pg_sleep(0.01)")
        assert faults(session) == [], f"seed {seed}"
        _check_states(session, done, chance)


def _check_states(session: psycopg.Connection, done: datetime, chance: random.Random) -> None:
    """What state_at() says from the baseline on is what the rows of the log add up to."""
    # What a row was that got another key is told under the one that it had.
    moves = """
        select item_id, changes -> 'id' ->> 'old' from audit.events
        where table_name = 'public.note' and action = 'note_updated' and changes ? 'id'"""
    moved = {one for pair in session.execute(moves).fetchall() for one in pair}
    items = chance.sample(sorted({str(n + 1) for n in range(ROWS)} - moved), sized(15, 200))
    query = """
        select item_id, action, changes, occurred_at from audit.events
        where table_name = 'public.note' and item_id = any (%s) order by occurred_at, id, tx"""
    state: dict[str, dict[str, Any]] = {}
    checked = set[str]()
    for item, action, changes, at in session.execute(query, [items]).fetchall():
        if action == "note_updated" and item not in state:
            continue
        then = auditdb.state_at(session, ("note", item), at)
        if action == "note_deleted":
            state.pop(item, None)
            assert then.exists is False
            continue
        state[item] = state.get(item, {}) | {name: c["new"] for name, c in changes.items()}
        assert (then.exists, then.values, then.unknown) == (True, state[item], frozenset())
        checked.add(item)
    assert len(checked) > len(items) / 2
    for item in state.keys() & checked:
        assert auditdb.state_at(session, ("note", item), done).exists is True


def test_a_row_whose_key_changes_is_not_missed(engine_database: str) -> None:
    with (
        closing(psycopg.connect(engine_database, autocommit=True)) as session,
        closing(psycopg.connect(engine_database, autocommit=True)) as other,
    ):
        session.execute(TABLE)
        session.execute(FILL.format(30).encode())
        session.execute("select audit.track('public.note')")
        session.execute("select audit.baseline('public.note', 10)")
        other.execute("update public.note set id = -id where id = 25")
        other.execute(b"update public.note set id = id + %d where id = 1" % MOVED)
        while not value(session, "select is_done from audit.baseline('public.note', 10)"):
            pass
        told = """
            select item_id from audit.events
            where action = item_type || '_baseline' and item_id in ('-25', '25')"""
        assert session.execute(told).fetchall() == [("-25",)]
        assert (
            value(
                session, "select count(*) from audit.events where action = item_type || '_baseline'"
            )
            == 30 + 1
        )


def test_a_row_that_somebody_holds_is_told_later(engine_database: str) -> None:
    with (
        closing(psycopg.connect(engine_database, autocommit=True)) as session,
        closing(psycopg.connect(engine_database)) as writer,
    ):
        session.execute(TABLE)
        session.execute(FILL.format(30).encode())
        session.execute("select audit.track('public.note')")
        writer.execute("update public.note set v = 7 where id = 3")
        steps = [
            session.execute("select * from audit.baseline('public.note', 100)").fetchone()
            for _ in range(3)
        ]
        assert steps == [(29, 29, 0, False), (0, 0, 0, False), (0, 0, 1, False)]
        writer.commit()
        assert session.execute("select * from audit.baseline('public.note', 100)").fetchone() == (
            1, 1, 0, False,
        )  # fmt: skip
        while not value(session, "select is_done from audit.baseline('public.note', 100)"):
            pass
        assert faults(session) == []


def test_nobody_waits_longer_than_a_batch(engine_database: str) -> None:
    with (
        closing(psycopg.connect(engine_database)) as session,
        closing(psycopg.connect(engine_database, autocommit=True)) as writer,
    ):
        session.execute(TABLE)
        session.execute(FILL.format(30).encode())
        session.execute("select audit.track('public.note')")
        session.commit()
        session.execute("select audit.baseline('public.note', 10)")
        writer.execute("set lock_timeout = '50ms'")
        writer.execute("update public.note set v = 7 where id > 10")
        writer.execute("insert into public.note values (-1, -1, 0, 'new')")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            writer.execute("update public.note set v = 7 where id = 10")
        session.commit()
        writer.execute("update public.note set v = 7 where id <= 10")


def test_only_one_tells_a_table_at_a_time(engine_database: str) -> None:
    with (
        closing(psycopg.connect(engine_database)) as session,
        closing(psycopg.connect(engine_database)) as other,
    ):
        session.execute(TABLE)
        session.execute("select audit.track('public.note')")
        session.execute("select audit.baseline('public.note', 10)")
        session.commit()
        session.execute("select audit.baseline('public.note', 10)")
        with pytest.raises(psycopg.errors.ObjectInUse, match="is running"):
            other.execute("select audit.baseline('public.note', 10)")
