"""An item that becomes another one, or another account's or parent's, is told on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.helpers import value

if TYPE_CHECKING:
    import psycopg

SETUP = """
create table public.owner (id int primary key, account int, name text);
create table public.other (id int primary key, accounts int[]);
insert into public.owner values (1, 10, 'Ana'), (2, 20, 'Bo');
create table public.thing (id int, account int, owner int references public.owner, v int,
  part text, pin text, {key}) {rest};
{partitions}
select audit.track('public.thing', {declared});
insert into public.thing values (1, 10, 1, 0, 'A', 'canary'), (2, 20, 2, 0, 'B', 'canary');
"""
FORMS = {
    "statement": ("primary key (id)", "", ""),
    "partitioned": (
        "primary key (id, account)",
        "partition by list (account)",
        (
            "create table public.thing_10 partition of public.thing for values in (10);"
            "create table public.thing_rest partition of public.thing default;"
        ),
    ),
}
Told = tuple[str, str, str | None, dict[str, Any] | None]


def declare(conn: psycopg.Connection, form: str, declared: str) -> None:
    key, rest, partitions = FORMS[form]
    text = SETUP.format(key=key, rest=rest, partitions=partitions, declared=declared)
    conn.execute(text.encode())


def told(conn: psycopg.Connection, statement: str) -> list[Told]:
    """Run a statement; return account, item, parent and moved of the rows that it left."""
    mark = value(conn, "select clock_timestamp()")
    conn.execute(statement.encode())
    return conn.execute(
        "select account_id, item_id, parent_id, moved from audit.events"
        " where occurred_at > %s and item_type = 'thing' order by occurred_at, id",
        [mark],
    ).fetchall()


@pytest.mark.parametrize("form", FORMS)
def test_whatever_an_item_is_known_by(connection: psycopg.Connection, form: str) -> None:
    declare(
        connection,
        form,
        "item_id => 'id', account => 'account', parent_type => 'owner', parent_id => 'owner'",
    )
    assert told(connection, "update public.thing set v = 1") == [
        ("10", "1", "1", None),
        ("20", "2", "2", None),
    ]
    assert told(connection, "update public.thing set id = 5 where id = 1") == [
        ("10", "5", "1", {"from": {"item_id": "1"}}),
        ("10", "1", "1", {"to": {"item_id": "5"}}),
    ]
    assert told(connection, "update public.thing set account = 30 where id = 5") == [
        ("30", "5", "1", {"from": {"account_id": "10"}}),
        ("10", "5", "1", {"to": {"account_id": "30"}}),
    ]
    assert told(connection, "update public.thing set owner = 2, v = 7 where id = 5") == [
        ("30", "5", "2", {"from": {"parent_id": "1"}}),
        ("30", "5", "1", {"to": {"parent_id": "2"}}),
    ]
    assert told(connection, "update public.thing set owner = null where id = 5") == [
        ("30", "5", None, {"from": {"parent_id": "2"}}),
        ("30", "5", "2", {"to": {"parent_id": None}}),
    ]
    both = "update public.thing set id = 6, account = 10, owner = 1 where id = 5"
    assert told(connection, both) == [
        ("10", "6", "1", {"from": {"account_id": "30", "item_id": "5", "parent_id": None}}),
        ("30", "5", None, {"to": {"account_id": "10", "item_id": "6", "parent_id": "1"}}),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_both_rows_say_the_same_change(connection: psycopg.Connection, form: str) -> None:
    declare(connection, form, "account => 'account', item_id => 'id', secret => '{pin}'")
    connection.execute("update public.thing set id = 5, v = 1, pin = 'canary2' where id = 1")
    rows = connection.execute(
        "select action, changes, is_cascade, db_role, tx = txid_current() from audit.events"
        " where moved is not null order by occurred_at, id"
    ).fetchall()
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert rows[0][:2] == (
        "thing_updated",
        {
            "id": {"old": 1, "new": 5},
            "v": {"old": 0, "new": 1},
            "pin": {"redacted": True},
        },
    )
    assert "canary" not in str(rows)


@pytest.mark.parametrize("form", FORMS)
def test_by_expressions_and_lookups(connection: psycopg.Connection, form: str) -> None:
    declare(
        connection,
        form,
        "lookups => '{\"o\": \"owner\"}', account => 'o.account', item_label => 'o.name',"
        " item_id => $$'T' || id || coalesce(part, '')$$",
    )
    assert told(connection, "update public.thing set part = 'Z' where id = 1") == [
        ("10", "T1Z", None, {"from": {"item_id": "T1A"}}),
        ("10", "T1A", None, {"to": {"item_id": "T1Z"}}),
    ]
    assert told(connection, "update public.thing set owner = 2 where id = 1") == [
        ("20", "T1Z", None, {"from": {"account_id": "10"}}),
        ("10", "T1Z", None, {"to": {"account_id": "20"}}),
    ]
    labels = connection.execute(
        "select item_label from audit.events where moved is not null order by occurred_at, id"
    )
    assert [label for (label,) in labels] == ["Ana", "Ana", "Bo", "Ana"]


@pytest.mark.parametrize("form", FORMS)
def test_columns_that_are_not_audited_move_it_too(
    connection: psycopg.Connection, form: str
) -> None:
    declare(
        connection,
        form,
        "account => 'account', item_id => 'id', operational => '{owner}',"
        " parent_type => 'owner', parent_id => 'owner'",
    )
    assert told(connection, "update public.thing set owner = 2, v = 1 where id = 1") == [
        ("10", "1", "2", {"from": {"parent_id": "1"}}),
        ("10", "1", "1", {"to": {"parent_id": "2"}}),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_of_several_accounts_those_that_lost_it_are_told(
    connection: psycopg.Connection, form: str
) -> None:
    declare(
        connection,
        form,
        "item_id => 'id', accounts => 'select a from unnest("
        "(select o.accounts from public.other as o where o.id = new.owner)) as a'",
    )
    connection.execute("insert into public.other values (1, '{10,11}'), (2, '{11,12}'), (3, '{}')")
    assert told(connection, "update public.thing set v = 1 where id = 1") == [
        ("10", "1", None, None),
        ("11", "1", None, None),
    ]
    connection.execute("alter table public.thing drop constraint thing_owner_fkey")
    assert told(connection, "update public.thing set owner = 2 where id = 1") == [
        ("11", "1", None, None),
        ("12", "1", None, None),
        ("10", "1", None, {"to": {}}),
    ]
    assert told(connection, "update public.thing set owner = 3 where id = 1") == [
        ("", "1", None, None),
        ("11", "1", None, {"to": {}}),
        ("12", "1", None, {"to": {}}),
    ]
    connection.execute("update public.thing set owner = 2 where id = 1")
    assert told(connection, "update public.thing set id = 9 where id = 1") == [
        ("11", "9", None, {"from": {"item_id": "1"}}),
        ("12", "9", None, {"from": {"item_id": "1"}}),
        ("11", "1", None, {"to": {"item_id": "9"}}),
        ("12", "1", None, {"to": {"item_id": "9"}}),
    ]


def test_exchanged_keys(connection: psycopg.Connection) -> None:
    declare(connection, "statement", "account => 'account'")
    connection.execute(
        "alter table public.thing drop constraint thing_pkey,"
        " add constraint thing_pkey primary key (id) deferrable"
    )
    assert told(connection, "update public.thing set id = 3 - id") == [
        ("10", "2", None, {"from": {"item_id": "1"}}),
        ("10", "1", None, {"to": {"item_id": "2"}}),
        ("20", "1", None, {"from": {"item_id": "2"}}),
        ("20", "2", None, {"to": {"item_id": "1"}}),
    ]


PART = "item_type => 'thing', item_id => 'owner', part => 'lines', part_name => 'part', "


@pytest.mark.parametrize("form", FORMS)
def test_a_part_that_moves_to_another_item(connection: psycopg.Connection, form: str) -> None:
    declare(connection, form, PART + "account => 'account'")
    statement = "update public.thing set owner = 2, part = 'Q' where id = 1"
    assert told(connection, statement) == [
        ("10", "2", None, {"from": {"item_id": "1"}}),
        ("10", "1", None, {"to": {"item_id": "2"}}),
    ]
    rows = connection.execute(
        "select changes from audit.events where moved is not null order by occurred_at, id"
    ).fetchall()
    assert "lines/Q/owner" in rows[0][0]
    assert "lines/A/owner" in rows[1][0]


def test_grouped_parts_leave_one_and_come_to_the_other(connection: psycopg.Connection) -> None:
    declare(
        connection,
        "statement",
        PART
        + """account => 'account', actions => '[{"action": "lines_changed",
          "on": ["insert", "update", "delete"], "grouped": true}]'""",
    )
    for statement, sides in (
        ("update public.thing set owner = 2 where id = 1", {("10", "1"), ("10", "2")}),
        ("update public.thing set account = 30 where id = 1", {("10", "2"), ("30", "2")}),
        ("update public.thing set account = null where id = 1", {("30", "2"), ("", "2")}),
        ("update public.thing set v = 3 where id = 1", {("", "2")}),
    ):
        assert {(account, item) for account, item, *_ in told(connection, statement)} == sides
    ((changes,),) = connection.execute(
        "select changes from audit.events where account_id = '' and changes::text like '%3%'"
    )
    assert changes["lines/A/v"] == {"old": 0, "new": 3}


def test_each_action_of_an_update_is_told_on_both_sides(connection: psycopg.Connection) -> None:
    declare(
        connection,
        "statement",
        """account => 'account', actions => '[
          {"action": "given", "on": "update", "columns": ["account"]},
          {"action": "changed", "on": "update"}]'""",
    )
    mark = value(connection, "select clock_timestamp()")
    connection.execute("update public.thing set account = 30, v = 1 where id = 1")
    rows = connection.execute(
        "select action, account_id from audit.events where occurred_at > %s order by 1, 2", [mark]
    ).fetchall()
    assert rows == [("changed", "10"), ("changed", "30"), ("given", "10"), ("given", "30")]


def test_it_needs_an_actor_as_every_write(connection: psycopg.Connection) -> None:
    declare(connection, "statement", "account => 'account', require_actor => false")
    connection.execute("select audit.set_actor('user', '7', 'Ana', '{\"why\": \"merge\"}')")
    connection.execute("update public.thing set account = 30 where id = 1")
    rows = connection.execute(
        "select actor_id, context from audit.events where moved is not null"
    ).fetchall()
    assert rows == [("7", {"why": "merge"})] * 2
