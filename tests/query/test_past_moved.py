"""The past of an item that was known by another id, account or parent before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import auditdb
from auditdb import NoValue
from tests.support.helpers import value

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

SETUP = """
create table public.thing (id int primary key deferrable, account int, a text, b text);
select audit.track('public.thing', account => 'account');
insert into public.thing values (1, 10, 'one', 'x'), (2, 20, 'two', 'y');
"""


def at(conn: psycopg.Connection, *statements: str) -> datetime:
    for statement in statements:
        conn.execute(statement.encode())
    moment: datetime = value(conn, "select clock_timestamp()")
    return moment


def state(conn: psycopg.Connection, number: int, time: datetime, **asked: Any) -> Any:
    found = auditdb.state_at(conn, ("thing", number), time, **asked)
    assert found.unknown == frozenset()
    return found.moved if found.exists is False else dict(found.values)


def test_an_id_that_changed_is_followed(connection: psycopg.Connection) -> None:
    first = at(connection, SETUP)
    second = at(connection, "update public.thing set a = 'uno' where id = 1")
    third = at(connection, "update public.thing set id = 5, b = 'z' where id = 1")
    fourth = at(connection, "update public.thing set a = 'five' where id = 5")
    fifth = at(connection, "update public.thing set id = 6 where id = 5")
    last = at(connection, "delete from public.thing where id = 6")
    assert state(connection, 1, first) == {"id": 1, "account": 10, "a": "one", "b": "x"}
    assert state(connection, 1, second) == {"id": 1, "account": 10, "a": "uno", "b": "x"}
    assert state(connection, 1, third) == {"to": {"item_id": "5"}}
    assert state(connection, 5, second) == {"from": {"item_id": "1"}}
    assert state(connection, 5, third) == {"id": 5, "account": 10, "a": "uno", "b": "z"}
    assert state(connection, 5, fourth) == {"id": 5, "account": 10, "a": "five", "b": "z"}
    assert state(connection, 5, fifth) == {"to": {"item_id": "6"}}
    assert state(connection, 6, fifth) == {"id": 6, "account": 10, "a": "five", "b": "z"}
    assert state(connection, 6, last) == {}
    assert auditdb.value_at(connection, ("thing", 6), "b", fifth) == "z"
    assert auditdb.value_at(connection, ("thing", 1), "b", third) is NoValue.ABSENT


def test_exchanged_ids_are_told_apart(connection: psycopg.Connection) -> None:
    first = at(connection, SETUP)
    second = at(connection, "update public.thing set id = 3 - id")
    third = at(connection, "update public.thing set id = 3 - id, a = a || '!'")
    one = {"account": 10, "b": "x"}
    two = {"account": 20, "b": "y"}
    assert state(connection, 1, first) == {"id": 1, "a": "one", **one}
    assert state(connection, 2, second) == {"id": 2, "a": "one", **one}
    assert state(connection, 1, second) == {"id": 1, "a": "two", **two}
    assert state(connection, 1, third) == {"id": 1, "a": "one!", **one}
    assert state(connection, 2, third) == {"id": 2, "a": "two!", **two}


def test_an_id_that_another_item_gets(connection: psycopg.Connection) -> None:
    at(connection, SETUP, "delete from public.thing where id = 2")
    gone = at(connection)
    taken = at(connection, "update public.thing set id = 2 where id = 1")
    again = at(connection, "insert into public.thing values (1, 30, 'new', null)")
    assert state(connection, 2, gone) == {}
    assert state(connection, 2, taken) == {"id": 2, "account": 10, "a": "one", "b": "x"}
    assert state(connection, 1, taken) == {"to": {"item_id": "2"}}
    assert state(connection, 1, again) == {"id": 1, "account": 30, "a": "new", "b": None}


def test_an_account_that_lost_an_item_is_told(connection: psycopg.Connection) -> None:
    first = at(connection, SETUP)
    second = at(connection, "update public.thing set account = 30, a = 'uno' where id = 1")
    was = {"id": 1, "account": 10, "a": "one", "b": "x"}
    now = {"id": 1, "account": 30, "a": "uno", "b": "x"}
    assert state(connection, 1, first) == state(connection, 1, first, account_id=10) == was
    assert state(connection, 1, first, account_id=30) == {"from": {"account_id": "10"}}
    assert state(connection, 1, second) == state(connection, 1, second, account_id=30) == now
    assert state(connection, 1, second, account_id=10) == {"to": {"account_id": "30"}}
    pages = [auditdb.events(connection, account_id=n, item=("thing", 1)) for n in (10, 30)]
    assert [[event.action for event in page] for page in pages] == [
        ["thing_updated", "thing_created"],
        ["thing_updated"],
    ]


def test_what_was_before_tracking_stays_unknown(connection: psycopg.Connection) -> None:
    connection.execute(
        "create table public.thing (id int primary key, a text, b text);"
        "insert into public.thing values (1, 'one', 'x'), (2, 'two', 'y');"
        "select audit.track('public.thing')"
    )
    first = at(connection)
    second = at(connection, "update public.thing set id = 5 where id = 1")
    third = at(connection, "update public.thing set id = 1, a = 'deux' where id = 2")
    found = auditdb.state_at(connection, ("thing", 5), second)
    assert (dict(found.values), set(found.unknown)) == ({"id": 5}, {"a", "b"})
    found = auditdb.state_at(connection, ("thing", 1), first)
    assert (dict(found.values), set(found.unknown)) == ({"id": 1}, {"a", "b"})
    found = auditdb.state_at(connection, ("thing", 1), third)
    assert (dict(found.values), set(found.unknown)) == ({"id": 1, "a": "deux"}, {"b"})
