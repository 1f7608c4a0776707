"""Undoing: what a transaction did is taken back by ordinary statements, and stands in the log."""

from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors, sql
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


def do(conn: psycopg.Connection, *statements: LiteralString | sql.Composed) -> int:
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
    query = (
        "select t::text from customer as t union all select t::text from invoice as t order by 1"
    )
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


def test_what_was_changed_since_is_a_conflict(conn: psycopg.Connection) -> None:
    tx = do(
        conn,
        "update customer set name = 'eva', note = 'b' where id = 1",
        "update customer set note = 'c' where id = 2",
        "delete from invoice where id = 10",
        "delete from invoice where id = 11",
        "insert into customer values (3, 'cem'), (4, 'dan'), (5, 'fay')",
        "update invoice set amount = 6 where id = 20",
    )
    conn.execute(
        """
        update customer set note = 'later' where id = 1;
        insert into invoice values (10, 2, 99), (40, 4, 1);
        update customer set name = 'zoe' where id = 5;
        delete from invoice where id = 20;
        """
    )
    found = {(s["table_name"], s["key"]): s["conflict"] for s in plan(conn, tx)}
    assert found == {
        ("public.invoice", "20"): "the row is gone",
        ("public.customer", "5"): "name was changed since",
        ("public.customer", "4"): "1 of public.invoice refers to it",
        ("public.customer", "3"): None,
        ("public.invoice", "11"): None,
        ("public.invoice", "10"): "the row is there again",
        ("public.customer", "2"): None,
        ("public.customer", "1"): "note was changed since",
    }
    before = tables(conn)
    with pytest.raises(errors.Error, match="5 of 8 rows cannot go back") as caught:
        undo(conn, tx)
    assert caught.value.sqlstate == "UA011"
    assert "public.customer 1: note was changed since" in str(caught.value.diag.message_detail)
    assert tables(conn) == before
    undo(conn, tx, "skip")
    assert tables(conn) == [
        ("(1,eva,later,1)",),
        ("(10,2,99)",),
        ("(11,1,)",),
        ("(2,ben,,2)",),
        ("(4,dan,,)",),
        ("(40,4,1)",),
        ("(5,zoe,,)",),
    ]


def test_force_overwrites_what_was_changed_since(conn: psycopg.Connection) -> None:
    before = tables(conn)
    tx = do(
        conn,
        "update customer set note = 'b' where id = 1",
        "delete from invoice where id = 10",
        "insert into customer values (3, 'cem')",
    )
    conn.execute(
        """
        update customer set note = 'later' where id = 1;
        insert into invoice values (10, 2, 99), (30, 3, 1);
        update customer set name = 'zoe' where id = 3;
        """
    )
    undo(conn, tx, "force")
    assert tables(conn) == before


def test_rows_that_cannot_come_back_are_said(conn: psycopg.Connection) -> None:
    conn.execute(
        """
        create table person (id int primary key, pin text not null, hint text, beat int);
        create table badge (id int primary key, person_id int references person on delete cascade);
        select audit.track('person', secret => '{pin, hint}', operational => '{beat}');
        select audit.track('badge');
        insert into person values (1, 's', 'h', 1), (2, 's', 'h', 1);
        insert into badge values (1, 1);
        """
    )
    gone = do(conn, "delete from person where id = 1")
    missing = ["pin is secret", "hint is secret", "beat is not in the log"]
    assert [(s["restorable"], s["statement"], s["missing"]) for s in plan(conn, gone)] == [
        ("no", None, ["a row needs pin", *missing]),
        ("no", None, ["public.person 1 is not there"]),
    ]
    conn.execute("select audit.untrack('badge')")
    assert plan(conn, do(conn, "delete from customer where id = 2"))[0]["missing"] == [
        "beat is not in the log"
    ]
    conn.execute("alter table person alter pin drop not null")
    untold = "rows of public.badge that went with it are not in the log"
    assert plan(conn, gone)[-1]["missing"] == [*missing, untold]
    conn.execute("alter table person alter pin set not null; select audit.track('badge')")
    changed = do(conn, "update person set pin = 't' where id = 2")
    assert [(s["restorable"], s["statement"], s["missing"]) for s in plan(conn, changed)] == [
        ("no", None, ["pin is secret"])
    ]
    emptied = do(conn, "truncate badge")
    assert [(s["restorable"], s["key"], s["missing"]) for s in plan(conn, emptied)] == [
        ("no", "table/public.badge", ["table_truncated is not undone"])
    ]
    for tx in (gone, changed, emptied):
        with pytest.raises(errors.Error, match="cannot go back"):
            undo(conn, tx)


def test_keys_that_move_are_followed(conn: psycopg.Connection) -> None:
    before = tables(conn)
    tx = do(
        conn,
        "delete from invoice where id = 20",
        "update invoice set id = 20, amount = 3 where id = 10",
        "update invoice set id = 21 where id = 20",
        "insert into invoice values (20, 2, 8)",
        "update invoice set id = 22, amount = 4 where id = 20",
        "insert into invoice values (10, 2, 9)",
        "delete from invoice where id = 11",
        "insert into invoice values (11, 2, 9)",
        "update customer set name = 'x' where id = 1",
        "update customer set name = 'ana' where id = 2",
        "update customer set note = 'z' where id = 1",
    )
    after = tables(conn)
    back = undo(conn, tx)
    assert tables(conn) == before
    undo(conn, back)
    assert tables(conn) == after


def test_columns_are_followed_through_ddl(conn: psycopg.Connection) -> None:
    tx = do(
        conn, "update customer set name = 'eva', note = 'b'  where id = 1", "delete from invoice"
    )
    conn.execute(
        """
        alter table customer rename note to remark;
        alter table customer rename name to note;
        alter table invoice drop column amount;
        alter table invoice add paid boolean not null default false;
        alter table invoice rename to bill;
        """
    )
    steps = plan(conn, tx)
    assert {(s["table_name"], *s["missing"]) for s in steps} == {
        ("public.bill", "paid is not in the log", "amount was dropped"),
        ("public.customer",),
    }
    undo(conn, tx)
    assert conn.execute("select note, remark from customer where id = 1").fetchall() == [
        ("ana", "a")
    ]
    assert conn.execute("select id, customer_id, paid from bill order by id").fetchall() == [
        (10, 1, False),
        (11, 1, False),
        (20, 2, False),
    ]


def test_an_event_and_an_item_since_a_time(conn: psycopg.Connection) -> None:
    before = tables(conn)
    moment = value(conn, "select clock_timestamp()")
    do(conn, "update invoice set amount = 2 where id = 10")
    do(conn, "delete from invoice where id = 10")
    do(conn, "insert into invoice values (10, 2, 7)")
    item = "item_type => 'invoice', item_id => '10', at => %s"
    assert value(conn, f"select statement from audit.undo_plan({item})", moment) == (
        """update public.invoice set "customer_id" = '1'::pg_catalog.int4,"""
        """ "amount" = '1.10'::pg_catalog.numeric"""
        """ where ("id" operator(pg_catalog.=) '10'::pg_catalog.int4)"""
    )
    with conn.transaction():
        conn.execute(ACTOR)
        conn.execute(f"select audit.undo({item})".encode(), (moment,))
    assert tables(conn) == before
    key, context = conn.execute(
        "select key, context from audit.events order by id desc limit 1"
    ).fetchall()[0]
    assert context["undo_of"]["item_id"] == "10"
    with conn.transaction():
        conn.execute(ACTOR)
        conn.execute("select audit.undo(event => %s)", (key,))
    assert ("(10,2,7)",) in tables(conn)


def test_rows_that_refer_to_one_another(conn: psycopg.Connection) -> None:
    conn.execute(
        """
        create table tree (id int primary key, above int references tree, name text,
          unique (name) deferrable);
        create table leaf (tree_id int references tree on update cascade, n int, at text,
          primary key (tree_id, n));
        select audit.track('tree');
        select audit.track('leaf');
        insert into tree values (1, null, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, null, 'd');
        insert into leaf values (4, 1, 'x');
        """
    )
    query = "select t::text from tree as t union all select t::text from leaf as t order by 1"
    before = conn.execute(query).fetchall()
    for statements in (
        ["delete from tree where id in (1, 2, 3)"],
        [
            "insert into tree values (12, 10, 'e'), (10, null, 'f'), (11, 12, 'g')",
            "update tree set above = 11 where id = 1",
        ],
        ["update tree set id = 5 where id = 4", "update leaf set at = 'y'"],
        [
            "set constraints all deferred",
            "update tree set name = case name when 'a' then 'b' else 'a' end where id < 3",
        ],
    ):
        tx = do(conn, *statements)
        after = conn.execute(query).fetchall()
        assert after != before
        back = undo(conn, tx)
        assert conn.execute(query).fetchall() == before
        again = undo(conn, back)
        assert conn.execute(query).fetchall() == after
        undo(conn, again)


def test_a_row_in_several_accounts_is_undone_once(conn: psycopg.Connection) -> None:
    conn.execute(
        """
        create table person (id int primary key, name text);
        create table membership (person_name text, account int);
        insert into membership values ('ana', 1), ('ana', 2);
        select audit.track('person', accounts =>
          'select m.account from public.membership as m where m.person_name = new.name');
        insert into person values (1, 'ana');
        """
    )
    tx = do(conn, "update person set id = 2")
    assert value(conn, "select count(*) from audit.log where tx = %s", tx) == 4
    undo(conn, tx)
    assert conn.execute("select id, name from person").fetchall() == [(1, "ana")]


@pytest.mark.parametrize("side", ["from", "to"])
def test_an_item_that_became_another_one_is_put_back_from_either_side(
    conn: psycopg.Connection, side: str
) -> None:
    conn.execute(
        "create table person (id int primary key, name text); select audit.track('person');"
        "insert into person values (1, 'ana')"
    )
    conn.execute("update person set id = 2")
    key = value(conn, "select key from audit.events where moved ? %s", side)
    with conn.transaction():
        conn.execute("select audit.set_actor('user', '7')")
        conn.execute("select audit.undo(event => %s)", [key])
    assert conn.execute("select id, name from person").fetchall() == [(1, "ana")]
