"""Undoing: what a transaction did is taken back by ordinary statements, and stands in the log."""

from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors
from psycopg.rows import dict_row

from tests.conftest import Connect
from tests.support.helpers import value

ACTOR = "select audit.set_actor('platform_user', '7', 'Ana', '{\"request_id\": \"r-1\"}')"


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection:
    session = connect(autocommit=True)
    session.execute(
        """
        create table customer (id int primary key, name text unique, note text, beat int);
        create table invoice (
          id int primary key, customer_id int references customer on delete cascade, amount numeric
        );
        select audit.track('customer', operational => '{beat}');
        select audit.track('invoice');
        insert into customer values (1, 'ana', 'a', 1), (2, 'ben', null, 2);
        insert into invoice values (10, 1, 1.10), (11, 1, null), (20, 2, 5);
        """
    )
    return session


def do(conn: psycopg.Connection, *statements: LiteralString) -> int:
    """Run statements in one transaction of an actor; return its number."""
    with conn.transaction():
        conn.execute(ACTOR)
        for statement in statements:
            conn.execute(statement)
        number: int = value(conn, "select txid_current()")
    return number


def undo(conn: psycopg.Connection, tx: int, on_conflict: str = "stop") -> int:
    """Undo a transaction; return the number of the one that did."""
    with conn.transaction():
        conn.execute(ACTOR)
        conn.execute("select audit.undo(tx => %s, on_conflict => %s)", (tx, on_conflict))
        number: int = value(conn, "select txid_current()")
    return number


def plan(conn: psycopg.Connection, tx: int) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select * from audit.undo_plan(tx => %s) order by step", (tx,)
        ).fetchall()


def tables(conn: psycopg.Connection) -> list[Any]:
    query = "select t::text from customer as t union all select t::text from invoice as t order by 1"
    return conn.execute(query).fetchall()


def test_a_transaction_is_undone_and_redone(conn: psycopg.Connection) -> None:
    before = tables(conn)
    tx = do(
        conn,
        "update customer set name = 'eva', note = null where id = 1",
        "insert into customer values (3, 'ana', 'x')",
        "insert into invoice values (30, 3, 7)",
        "update invoice set amount = 1.1 where id = 10",
        "delete from invoice where id = 20",
        "update customer set id = 5 where id = 3 and false",
    )
    after = tables(conn)
    steps = plan(conn, tx)
    assert [(s["operation"], s["table_name"], s["key"]) for s in steps] == [
        ("insert", "public.invoice", "20"),
        ("update", "public.invoice", "10"),
        ("delete", "public.invoice", "30"),
        ("delete", "public.customer", "3"),
        ("update", "public.customer", "1"),
    ]
    assert tables(conn) == after, "a plan changes nothing"
    assert {s["conflict"] for s in steps} == {None}
    back = undo(conn, tx)
    assert tables(conn) == before
    log = conn.execute(
        "select distinct actor_id, context from audit.log where tx = %s", (back,)
    ).fetchall()
    assert log == [("7", {"request_id": "r-1", "undo_of": {"tx": tx, "era": 1}})]
    undo(conn, back)
    assert tables(conn) == after


def test_a_cascade_comes_back(conn: psycopg.Connection) -> None:
    before = tables(conn)
    tx = do(conn, "delete from customer")
    assert tables(conn) == []
    steps = plan(conn, tx)
    assert [s["table_name"] for s in steps] == ["public.customer"] * 2 + ["public.invoice"] * 3
    assert {(s["restorable"], *s["missing"]) for s in steps if "customer" in s["table_name"]} == {
        ("partly", "beat is not in the log")
    }
    undo(conn, tx)
    conn.execute("update customer set beat = id")
    assert tables(conn) == before


def test_without_an_actor_it_is_refused(conn: psycopg.Connection) -> None:
    tx = do(conn, "update customer set note = 'b'")
    with pytest.raises(errors.Error, match="an undo needs an actor") as caught:
        conn.execute("select audit.undo(tx => %s)", (tx,))
    assert caught.value.sqlstate == "UA002"
