"""A page is a sequence of its events; iter_events() gives those of all pages, sync and async."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

import auditdb
from auditdb import Event, Page
from tests.conftest import Connect
from tests.support.helpers import value
from tests.support.readers import ASYNC, KINDS, SYNC, async_reader, reader

ROWS = 7


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection:
    """A session on a database in which a thing has changed a few times."""
    session = connect(autocommit=True)
    session.execute(
        "create table public.thing (id int primary key, n int);"
        "select audit.track('public.thing'); insert into public.thing values (1, 0), (2, 0)"
    )
    for number in range(1, ROWS):
        session.execute("update public.thing set n = %s where id = 1", (number,))
    return session


def iterated(url: str, kind: str, **named: Any) -> list[Event]:
    """Return what iter_events() gives through one connection of a kind in KINDS."""
    way, _, which = kind.partition(" ")
    if way == "sync":
        with reader(url, which) as conn:
            return list(auditdb.iter_events(conn, **named))

    async def collect() -> list[Event]:
        async with async_reader(url, which) as conn:
            return [event async for event in auditdb.iter_events(conn, **named)]

    return asyncio.run(collect())


# -- a page ------------------------------------------------------------------------------------


def test_a_page_is_a_sequence_of_its_events(conn: psycopg.Connection) -> None:
    page = auditdb.events(conn, item=("thing", 1), limit=3)
    events = page.events
    assert isinstance(page, Sequence)
    assert (len(page), list(page), bool(page)) == (3, list(events), True)
    assert (page[0], page[-1], page[1:]) == (events[0], events[-1], events[1:])
    assert list(reversed(page)) == list(reversed(events))
    assert events[1] in page
    assert page.index(events[1]) == 1
    with pytest.raises(IndexError):
        page[3]


def test_an_empty_page_is_false_and_the_last(conn: psycopg.Connection) -> None:
    page = auditdb.events(conn, item=("thing", 99))
    assert (len(page), list(page), bool(page)) == (0, [], False)
    assert page.next_cursor is None


def test_pages_are_equal_when_events_and_cursor_are(conn: psycopg.Connection) -> None:
    page = auditdb.events(conn, item=("thing", 1), limit=3)
    assert page == auditdb.events(conn, item=("thing", 1), limit=3)
    assert page != Page(page.events, None)
    assert hash(page) == hash(Page(page.events, page.next_cursor))


# -- all pages ---------------------------------------------------------------------------------


def test_all_events_are_given_on_every_kind_of_connection(
    conn: psycopg.Connection, database: str
) -> None:
    whole = list(auditdb.events(conn, item=("thing", 1), limit=100))
    assert len(whole) == ROWS
    for kind in KINDS:
        assert iterated(database, kind, item=("thing", 1), page_size=3) == whole, kind


def test_the_size_of_a_page_does_not_matter(conn: psycopg.Connection) -> None:
    whole = list(auditdb.events(conn, item=("thing", 1), limit=100))
    for page_size in (1, 2, ROWS - 1, ROWS, ROWS + 1, 500):
        found = auditdb.iter_events(conn, item=("thing", 1), page_size=page_size)
        assert list(found) == whole, page_size


def test_the_filters_are_those_of_events(conn: psycopg.Connection) -> None:
    half = auditdb.events(conn, item=("thing", 1), limit=3)
    at = half[-1].occurred_at
    questions: list[dict[str, Any]] = [
        {"action": "thing_created"},
        {"action": ["thing_created", "thing_updated"], "account_id": ""},
        {"item": ("thing", 1), "include_parts": False},
        {"item": ("thing", 1), "cursor": half.next_cursor},
        {"actor": "database", "since": at},
        {"until": at},
        {"account_id": "nobody"},
    ]
    for named in questions:
        whole = auditdb.events(conn, limit=1000, **named)
        assert list(auditdb.iter_events(conn, page_size=2, **named)) == list(whole), named
    ours = inspect.signature(auditdb.iter_events).parameters
    theirs = inspect.signature(auditdb.events).parameters
    assert ours.keys() - {"page_size"} == theirs.keys() - {"limit"}


def test_the_connection_is_free_between_events(conn: psycopg.Connection) -> None:
    found = auditdb.iter_events(conn, item=("thing", 1), page_size=2)
    assert isinstance(found, Iterator)
    seen = []
    for event in found:
        seen.append(event.id)
        with conn.transaction():
            conn.execute("update public.thing set n = n + 1 where id = 1")
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == ROWS
    assert value(conn, "select n from public.thing where id = 1") == ROWS - 1 + ROWS


@pytest.mark.parametrize("kind", ["psycopg", "asyncpg session"])
def test_what_makes_no_sense_is_refused_by_the_call(
    kind: str, conn: psycopg.Connection, database: str
) -> None:
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"page_size": 0}, auditdb.InvalidQuestion),
        ({"since": "today"}, auditdb.InvalidQuestion),
        ({"cursor": "x"}, auditdb.InvalidCursor),
        ({"limit": 3}, TypeError),
    ]
    for named, error in wrong:
        with pytest.raises(error):
            auditdb.iter_events(conn, **named)
    with pytest.raises(TypeError, match=r"iter_events\(\) reads through"):
        auditdb.iter_events("postgresql://")  # type: ignore[call-overload]

    async def ask() -> None:
        async with async_reader(database, kind) as own:
            for named, error in wrong:
                with pytest.raises(error):
                    auditdb.iter_events(own, **named)
            assert isinstance(auditdb.iter_events(own), AsyncIterator)

    asyncio.run(ask())


@pytest.mark.parametrize("kind", [f"sync {SYNC[0]}", f"sync {SYNC[4]}", f"async {ASYNC[4]}"])
def test_errors_of_the_database_are_ours_in_the_middle_too(kind: str, empty_database: str) -> None:
    with pytest.raises(auditdb.SchemaMissing, match="auditdb upgrade"):
        iterated(empty_database, kind)


def test_an_iterator_that_is_left_behind_harms_nothing(conn: psycopg.Connection) -> None:
    found = auditdb.iter_events(conn, item=("thing", 1), page_size=2)
    first = next(found)
    del found
    until = datetime.now(UTC) + timedelta(minutes=1)
    assert auditdb.events(conn, item=("thing", 1), until=until)[0] == first
