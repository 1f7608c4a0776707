"""Following the log: every row once its transaction is over, none twice, a clean end."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from auditdb._export import follow
from auditdb._query.filters import Filter, filtered
from auditdb._query.records import Event
from tests.conftest import Connect
from tests.export.test_export_incremental import Writer, insert
from tests.support.commands import START, add, auditdb, environment
from tests.support.exports import fill

pytestmark = pytest.mark.quick


class Enough(Exception):
    """Ends following."""


def followed(
    url: str,
    wanted: Filter,
    steps: list[object],
    number: Callable[[Event], int] = lambda event: event.id,
) -> list[list[int]]:
    """Follow the log; before each look, do the next step. Return the numbers of each look."""
    found: list[list[int]] = [[]]

    def wait(_seconds: float) -> None:
        found.append([])
        if not steps:
            raise Enough
        step = steps.pop(0)
        assert callable(step)
        step()

    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(Enough):
        gather(
            follow.batches(connection, wanted, wait=wait),
            lambda numbers: found[-1].extend(numbers),
            number,
        )
    return found[1:-1]


def gather(
    batches: Iterator[list[Event]],
    take: Callable[[list[int]], None],
    number: Callable[[Event], int] = lambda event: event.id,
) -> None:
    for batch in batches:
        take([number(event) for event in batch])


def test_rows_come_in_the_order_in_which_they_become_visible(
    database: str, connect: Connect
) -> None:
    fill(database, 10)
    slow, quick, undone = connect(), connect(autocommit=True), connect()
    ids: list[int] = []

    def first() -> None:
        ids.append(insert(slow)[1])
        insert(undone)
        ids.append(insert(quick)[1])

    def second() -> None:
        slow.commit()
        undone.rollback()

    def third() -> None:
        ids.append(insert(quick)[1])

    looks = followed(database, Filter(), [first, second, third])
    assert looks == [[ids[1]], [ids[0]], [ids[2]]]


def test_filters_hold_and_since_shows_what_is_there(database: str, connect: Connect) -> None:
    quick = connect(autocommit=True)
    add(database, action="a", item_label="before")
    there = insert(quick)[1]

    def more() -> None:
        add(database, action="b")
        insert(quick)

    looks = followed(database, filtered(action="a", since=START), [more])
    assert len(looks[0]) == 1
    all_of_it: list[int] = []
    with psycopg.connect(database, autocommit=True) as connection:

        def wait(_seconds: float) -> None:
            raise Enough

        with pytest.raises(Enough):
            gather(
                follow.batches(connection, filtered(action="a", since=START), wait=wait),
                all_of_it.extend,
            )
    assert there in all_of_it
    assert len(all_of_it) == 3


def test_many_rows_come_in_batches(database: str) -> None:
    def many() -> None:
        fill(database, 2 * follow.BATCH + 5, "1 minute")

    (look,) = followed(database, Filter(), [many])
    assert len(look) == 2 * follow.BATCH + 5


def test_an_import_meanwhile_is_an_error_not_a_gap(database: str, connect: Connect) -> None:
    from auditdb.errors import WatermarkRefused

    owner = connect(autocommit=True)

    def imported() -> None:
        owner.execute('select audit.open_import(\'{"sha256": "x", "rows": 0, "layouts": []}\')')
        owner.execute("select audit.begin_era()")

    with pytest.raises(WatermarkRefused, match="imported"):
        followed(database, Filter(), [imported])


def test_nothing_is_lost_or_doubled_under_stress(engine_database: str) -> None:
    with psycopg.connect(engine_database) as connection:
        connection.execute("create table public.thing (id bigserial primary key, name text)")
        connection.execute("select audit.track('public.thing')")
    stop, over = threading.Event(), threading.Event()
    writers = [Writer(engine_database, number, stop) for number in range(4)]
    found: list[int] = []
    looks = 0

    def wait(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            for writer in writers:
                writer.start()
        if over.is_set():
            raise Enough
        if looks == 100:
            stop.set()
            for writer in writers:
                writer.join()
            over.set()
        stop.wait(0.03)

    with psycopg.connect(engine_database, autocommit=True) as connection:
        before = {i for (i,) in connection.execute("select id from audit.log").fetchall()}
        with pytest.raises(Enough):
            gather(follow.batches(connection, Filter(), wait=wait), found.extend)
        assert [writer.error for writer in writers] == [None] * 4
        log = {i for (i,) in connection.execute("select id from audit.log").fetchall()}
    assert len(found) == len(set(found))
    assert set(found) == log - before
    assert found != sorted(found), "nothing committed late: the stress proves nothing"


# -- as a program ----------------------------------------------------------------------------


@contextmanager
def program(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "auditdb", "log", "--follow", "--interval", "0.05", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(AUDITDB_URL=url),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_prints_new_events_until_it_is_interrupted(
    database: str, connect: Connect
) -> None:
    quick = connect(autocommit=True)
    with program(database, "--since", "1h") as process:
        assert process.stdout is not None
        ids = [insert(quick)[1] for _ in range(3)]
        # Waits for the line, which is what following is for.
        seen: list[int] = []
        while ids[-1] not in seen:
            seen.append(int(json.loads(process.stdout.readline())["id"]))
        assert seen[-3:] == ids
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr is not None
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_it_says_so_when_its_server_goes_away(database: str, connect: Connect) -> None:
    quick = connect(autocommit=True)
    with program(database, "--since", "1h") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        insert(quick)
        process.stdout.readline()
        quick.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and application_name = 'auditdb'"
        )
        said = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert "connection to the database was lost" in said
    assert "--since and the time of the last event" in said
    assert "Traceback" not in said


def test_it_ends_when_its_reader_goes_away(database: str, connect: Connect) -> None:
    quick = connect(autocommit=True)
    with program(database, "--since", "1h") as process:
        assert process.stdout is not None
        insert(quick)
        process.stdout.readline()
        process.stdout.close()
        while process.poll() is None:
            insert(quick)
        assert process.returncode == 141


@pytest.mark.parametrize("options", [("--cursor", "x"), ("--all",)])
def test_it_does_not_go_back(database: str, options: tuple[str, ...]) -> None:
    ran = auditdb("log", "--follow", "--url", database, *options)
    assert ran.returncode == 2
    assert os.linesep not in ran.stdout
