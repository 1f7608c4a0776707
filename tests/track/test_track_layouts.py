"""Layouts at their limits: as many columns as a table can have, as many shapes as a table had."""

import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

import auditdb
from tests.support.effort import is_long, sized
from tests.support.helpers import LogRow, recorded, value

WIDTH = 1589
"""Beside the key: 1,590 columns, of the 1,600 that a table of PostgreSQL can have."""


@pytest.fixture
def owner(engine_database: str) -> Iterator[psycopg.Connection]:
    """A session of the log's owner, in which nothing is compiled to machine code."""
    options = "-c jit=off -c statement_timeout=300s"
    with closing(psycopg.connect(engine_database, autocommit=True, options=options)) as session:
        yield session


@pytest.mark.slow
def test_a_table_as_wide_as_tables_get(owner: psycopg.Connection) -> None:
    if owner.info.server_version < 180000 and not is_long():
        pytest.skip("compiling so many columns takes long before PostgreSQL 18")
    names = [f"c{number}" for number in range(1, WIDTH + 1)]
    owner.execute(
        f"create table wide (id integer primary key, {' int, '.join(names)} int)".encode()
    )
    owner.execute("select audit.track('wide')")
    with recorded(owner) as rows:
        owner.execute("insert into wide (id, c1) values (1, 5)")
        sets = ", ".join(f"{name} = {number}" for number, name in enumerate(names))
        owner.execute(f"update wide set {sets}".encode())
        owner.execute(f"update wide set {names[-1]} = 7".encode())
        owner.execute("delete from wide")
    created, filled, changed, deleted = (row.changes for row in rows)
    last = {names[-1]: 7}
    numbers = {name: number for number, name in enumerate(names)}
    assert created == {"id": {"new": 1}} | {
        name: {"new": 5 if name == "c1" else None} for name in names
    }
    assert filled == {
        name: {"old": 5 if name == "c1" else None, "new": n} for name, n in numbers.items()
    }
    assert changed == {names[-1]: {"old": WIDTH - 1, "new": 7}}
    assert deleted == {"id": {"old": 1}} | {
        name: {"old": n} for name, n in (numbers | last).items()
    }
    shown = "select count(*) from audit.changes where action = 'wide_deleted'"
    assert value(owner, shown) == WIDTH + 1


def test_a_declaration_that_changed_many_times_reads_all_its_rows(
    owner: psycopg.Connection,
) -> None:
    """Each shape has its rows, read by the layout of their time."""
    shapes = sized(10, 100)
    owner.execute("create table thing (id integer primary key, kept text)")
    owner.execute("select audit.track('thing')")
    expected: list[dict[str, object]] = []
    with recorded(owner) as rows:
        for n in range(shapes):
            kind = ("integer", "text", "timestamptz")[n % 3]
            content = (n, f"t,{n}", "2026-03-01T00:00:00+00:00")[n % 3]
            owner.execute(f"alter table thing add column c{n} {kind}".encode())
            owner.execute(f"insert into thing (id, c{n}) values ({n}, %s)".encode(), (content,))
            if n >= 2:
                owner.execute(f"alter table thing drop column c{n - 2}".encode())
            columns = [f"c{m}" for m in range(max(n - 2, 0), n)]
            expected.append({"id": n, "kept": None, **dict.fromkeys(columns), f"c{n}": content})
    found = [row.changes for row in rows if row.action == "thing_created"]
    assert found == [{name: {"new": v} for name, v in row.items()} for row in expected]
    layouts = value(owner, "select count(distinct layout) from audit.log where item_type = 'thing'")
    assert layouts == shapes
    assert not {f.finding for f in auditdb.check(owner)} & {"layout_missing", "triggers_stale"}
    # A reader goes down a tree of questions: the last of many layouts is as near as the first.
    assert seconds(owner, rows, first=True) < 20 * seconds(owner, rows, first=False) + 0.05


def seconds(session: psycopg.Connection, rows: list[LogRow], *, first: bool) -> float:
    """Return how long it takes to read a row a hundred times, the best of three."""
    created = [row.id for row in rows if row.action == "thing_created"]
    query = (
        "select count(audit.record_changes(l.layout, l.row_values, false))"
        " from audit.log as l cross join generate_series(1, 100) as n where l.id = %s"
    )
    found = []
    for _ in range(3):
        start = time.perf_counter()
        assert value(session, query, created[0 if first else -1]) == 100
        found.append(time.perf_counter() - start)
    return min(found)


def test_rows_outlive_their_table_and_its_types(owner: psycopg.Connection) -> None:
    owner.execute(
        "create schema gone;"
        "create type gone.mood as enum ('sad, \"so\"', 'happy');"
        "create type gone.pair as (n numeric, at timestamptz);"
        "create domain gone.small as integer check (value < 10);"
        "create table gone.thing (id gone.small primary key, mood gone.mood, moods gone.mood[],"
        " pair gone.pair, pairs gone.pair[], itself regclass);"
        "select audit.track('gone.thing', item_label => 'mood')"
    )
    with recorded(owner) as rows:
        owner.execute(
            "insert into gone.thing values (1, 'sad, \"so\"', array['happy', null]::gone.mood[],"
            " row(1.10, '2026-03-01 00:00Z'), array[row(null, null)::gone.pair], 'gone.thing')"
        )
        owner.execute("delete from gone.thing")
    before = [row.changes for row in rows]
    owner.execute("drop schema gone cascade")
    assert value(owner, "select to_regtype('gone.mood') is null")
    after = [
        changes
        for (changes,) in owner.execute(
            "select changes from audit.events where item_type = 'thing' order by id"
        )
    ]
    assert after == before
    assert after[0] == {
        "id": {"new": 1},
        "mood": {"new": 'sad, "so"'},
        "moods": {"new": ["happy", None]},
        "pair": {"new": '(1.10,"2026-03-01 00:00:00+00")'},
        "pairs": {"new": ["(,)"]},
        "itself": {"new": "gone.thing"},
    }
    shown = owner.execute(
        "select new_value from audit.changes"
        " where action = 'thing_created' and column_name = 'mood'"
    ).fetchall()
    assert shown == [('sad, "so"',)]
