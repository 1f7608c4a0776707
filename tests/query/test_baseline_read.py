"""What readers see of a baseline: nothing on pages unless asked, all of it in the past."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

import auditdb
from auditdb import NoValue
from tests.support.commands import auditdb as run
from tests.support.helpers import value

SET_UP = """
create table public.note (id int primary key, title text, size int, pin text);
insert into public.note values (1, 'one', 1, 'x'), (2, 'two', 2, 'y');
"""
ITEM = ("note", 1)


@pytest.fixture
def moments(connection: psycopg.Connection) -> list[datetime]:
    """A note before its tracking, tracked, changed, told, changed again, and gone."""
    found = []
    for statement in (
        SET_UP,
        "select audit.track('public.note', secret => '{pin}')",
        "update public.note set size = 5 where id = 1",
        "select audit.baseline('public.note')",
        "update public.note set size = 6, title = 'uno' where id = 1",
        "delete from public.note where id = 1",
    ):
        connection.execute(statement.encode())
        found.append(value(connection, "select clock_timestamp()"))
    return found


def test_from_then_on_every_item_is_known(
    connection: psycopg.Connection, moments: list[datetime]
) -> None:
    before, tracked, changed, told, again, gone = (
        auditdb.state_at(connection, ITEM, moment) for moment in moments
    )
    # What the first change replaced was there, of the rest nobody knows.
    assert (before.exists, before.values, before.unknown) == (
        True,
        {"size": 1},
        frozenset({"id", "title"}),
    )
    # Since it is tracked, whatever changed is in the log: so what was found was so before.
    assert (tracked.exists, tracked.values) == (True, {"id": 1, "title": "one", "size": 1})
    assert changed.values == told.values == {"id": 1, "title": "one", "size": 5}
    assert (told.exists, told.redacted) == (True, frozenset({"pin"}))
    assert told.unknown == frozenset()
    assert again.values == {"id": 1, "title": "uno", "size": 6}
    assert gone.exists is False
    other = auditdb.state_at(connection, ("note", 2), moments[3])
    assert (other.exists, other.values) == (True, {"id": 2, "title": "two", "size": 2})


def test_a_value_is_known_from_then_on(
    connection: psycopg.Connection, moments: list[datetime]
) -> None:
    at = [auditdb.value_at(connection, ("note", 2), "title", moment) for moment in moments]
    assert at == [NoValue.UNKNOWN, "two", "two", "two", "two", "two"]
    long_before = moments[0] - timedelta(days=400)
    assert auditdb.value_at(connection, ("note", 2), "title", long_before) is NoValue.UNKNOWN
    assert auditdb.state_at(connection, ("note", 2), long_before).exists is None


def test_an_item_that_was_deleted_and_is_there_again(connection: psycopg.Connection) -> None:
    connection.execute(SET_UP)
    connection.execute("select audit.track('public.note')")
    connection.execute("delete from public.note where id = 1")
    connection.execute("select audit.untrack('public.note')")
    connection.execute("insert into public.note values (1, 'eins', 9, 'z')")
    connection.execute("select audit.track('public.note', baseline => true)")
    now = value(connection, "select clock_timestamp()")
    state = auditdb.state_at(connection, ITEM, now, table="public.note")
    assert (state.exists, state.values["title"], state.unknown) == (True, "eins", frozenset())


Ask = Callable[..., Sequence[auditdb.Event]]
PAGES: dict[str, Ask] = {
    "events": lambda conn, **given: auditdb.events(conn, item=ITEM, **given),
    "iter_events": lambda conn, **given: list(auditdb.iter_events(conn, item=ITEM, **given)),
    "item_history": lambda conn, **given: auditdb.item_history(conn, ITEM, **given),
}


@pytest.mark.usefixtures("moments")
@pytest.mark.parametrize("name", PAGES)
def test_pages_leave_it_out_unless_asked(connection: psycopg.Connection, name: str) -> None:
    left = {event.action for event in PAGES[name](connection)}
    assert left == {"note_updated", "note_deleted"}
    asked = PAGES[name](connection, baseline=True)
    assert {event.action for event in asked} == {*left, "note_baseline"}
    assert [event.action for event in asked if event.is_baseline] == ["note_baseline"]


@pytest.mark.usefixtures("moments")
def test_counts_leave_it_out_unless_asked(connection: psycopg.Connection) -> None:
    def count(*, baseline: bool = False) -> dict[str | None, int]:
        found = auditdb.counts(connection, table="public.note", baseline=baseline)
        return {one.action: one.count for one in found}

    left = {"note_updated": 2, "note_deleted": 1}
    assert count() == left
    assert count(baseline=True) == {**left, "note_baseline": 2}
    named = auditdb.counts(connection, action="note_baseline")
    assert [one.count for one in named] == [2]
    assert len(auditdb.events(connection, action=["note_baseline", "note_deleted"])) == 3


@pytest.mark.usefixtures("moments")
def test_histories_leave_it_out_unless_asked(connection: psycopg.Connection) -> None:
    def history(*, baseline: bool = False) -> list[tuple[object, object]]:
        found = auditdb.field_history(connection, ITEM, "size", baseline=baseline)
        return [(change.old, change.new) for change in found]

    assert history() == [(1, 5), (5, 6), (6, None)]
    assert history(baseline=True) == [(1, 5), (None, 5), (5, 6), (6, None)]
    (told,) = auditdb.events(connection, item=("note", 2), baseline=True)
    assert auditdb.transaction_events(connection, told.tx, baseline=True)
    assert not any(e.is_baseline for e in auditdb.transaction_events(connection, told.tx))


SQL_PAGES: dict[str, tuple[LiteralString, LiteralString]] = {
    "item_log": (
        "select action from audit.item_log('note', '1')",
        "select action from audit.item_log('note', '1', baseline => true)",
    ),
    "tree_log": (
        "select action from audit.tree_log('note', '1')",
        "select action from audit.tree_log('note', '1', baseline => true)",
    ),
}


@pytest.mark.usefixtures("moments")
@pytest.mark.parametrize("name", SQL_PAGES)
def test_pages_in_sql_leave_it_out_unless_asked(connection: psycopg.Connection, name: str) -> None:
    left, all_of_it = (
        {action for (action,) in connection.execute(query).fetchall()} for query in SQL_PAGES[name]
    )
    assert left == {"note_updated", "note_deleted"}
    assert all_of_it == {*left, "note_baseline"}


def test_the_page_of_a_license_leaves_it_out(connection: psycopg.Connection) -> None:
    about = "select pg_get_viewdef(v::regclass) from unnest(%s::text[]) as v"
    views = [f"licensing.{name}_log" for name in ("license", "order", "customer", "product")]
    for (text,) in connection.execute(about, [views]).fetchall():
        assert text.count("_baseline") == 2


def test_the_command_tells_and_the_log_shows_it_when_asked(engine_database: str) -> None:
    with psycopg.connect(engine_database) as session:
        session.execute(SET_UP)
        session.execute("select audit.track('public.note')")
    done = run("baseline", "public.note", "--batch", "1", "--url", engine_database)
    assert (done.returncode, done.stdout) == (0, "")
    assert "public.note: 2 rows looked at, 2 told to the log." in done.stderr
    ask = ("log", "--url", engine_database, "--item", "note:1", "--json")
    assert run(*ask).stdout == ""
    assert '"action": "note_baseline"' in run(*ask, "--baseline").stdout
    missing = run("baseline", "public.nosuch", "--url", engine_database)
    assert (missing.returncode, missing.stdout) == (1, "")


def test_the_command_says_who_holds_it_up(engine_database: str) -> None:
    with psycopg.connect(engine_database) as session:
        session.execute(SET_UP)
        session.execute("select audit.track('public.note')")
        session.commit()
        session.execute("update public.note set size = 9 where id = 2")
        ask = ("baseline", "public.note", "--patience", "0", "--url", engine_database)
        held = run(*ask)
        assert held.returncode == 1
        assert "other transactions hold 1 of its rows" in held.stderr
        session.commit()
    assert run(*ask).returncode == 0


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_exports_have_it_and_imports_take_it(
    engine_database: str, database: str, tmp_path: Path, form: str
) -> None:
    with psycopg.connect(engine_database) as session:
        session.execute(SET_UP)
        session.execute("select audit.track('public.note', baseline => true)")
    target = str(tmp_path / "export")
    for command in (
        ("export", target, "--format", form, "--url", engine_database),
        ("verify", target),
        ("import", target, "--url", database),
    ):
        done = run(*command)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(database) as session:
        now = value(session, "select clock_timestamp()")
        state = auditdb.state_at(session, ("note", 2), now)
        assert (state.exists, state.values["title"]) == (True, "two")
        # What came from elsewhere says nothing of the rows that are here.
        session.execute(SET_UP)
        session.execute("select audit.track('public.note')")
        assert value(session, "select told from audit.baseline('public.note')") == 2
