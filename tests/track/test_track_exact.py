"""What differs is logged, and shown as different: blanks, zeros, bounds, portions of time."""

import psycopg
import pytest

from tests.support.helpers import recorded

PAIRS = [
    ("bpchar", "'x'", "'x  '", "x", "x  "),
    ("float8[]", "'{0}'", "'{-0}'", [0], "{-0}"),
    ("real[]", "'{1,0}'", "'{1,-0}'", [1, 0], "{1,-0}"),
    ("int[]", "'{1,2}'", "'[0:1]={1,2}'", [1, 2], "[0:1]={1,2}"),
    ("text[]", "'{a}'", "'[5:5]={a}'", ["a"], "[5:5]={a}"),
    ("date[]", "'{2026-02-01}'", "'[0:0]={2026-02-01}'", ["2026-02-01"], "[0:0]={2026-02-01}"),
    ("json[]", "'{1}'", "'[0:0]={1}'", ["1"], "[0:0]={1}"),
]


@pytest.mark.parametrize(("kind", "old", "new", "was", "is_now"), PAIRS)
def test_values_that_differ_look_different(
    connection: psycopg.Connection, kind: str, old: str, new: str, was: object, is_now: object
) -> None:
    connection.execute(f"create table t (id int primary key, v {kind})".encode())
    connection.execute("select audit.track('t'); set local datestyle = 'German, DMY'")
    connection.execute(
        f"insert into t values (1, {old.replace('2026-02-01', '01.02.2026')})".encode()
    )
    connection.execute("set local datestyle = 'ISO'")
    with recorded(connection) as log:
        connection.execute("set local datestyle = 'German, DMY'")
        connection.execute(f"update t set v = {new.replace('2026-02-01', '01.02.2026')}".encode())
        connection.execute("update t set v = v")
        connection.execute("delete from t")
        connection.execute("set local datestyle = 'ISO'")
    assert [row.changes and row.changes["v"] for row in log] == [
        {"old": was, "new": is_now},
        {"old": is_now},
    ]


def test_the_id_of_an_item_is_what_its_key_reads_as(connection: psycopg.Connection) -> None:
    connection.execute("create table t (id char(5) primary key, v text)")
    connection.execute("select audit.track('t')")
    with recorded(connection) as log:
        connection.execute("insert into t values ('ab', 'x')")
        connection.execute("update t set v = 'y'")
        connection.execute("delete from t")
    assert {row.item_id for row in log} == {"ab   "}
    assert [row.changes and row.changes.get("id") for row in log] == [
        {"new": "ab   "},
        None,
        {"old": "ab   "},
    ]


def test_a_char_that_moves_to_another_partition_changes_in_nothing_else(
    connection: psycopg.Connection,
) -> None:
    connection.execute(
        "create table t (k char(3), id char(5), primary key (k, id)) partition by list (k);"
        "create table t1 partition of t for values in ('a');"
        "create table t2 partition of t for values in ('b');"
        "select audit.track('t'); insert into t values ('a', 'x')"
    )
    with recorded(connection) as log:
        connection.execute("update t set k = 'b'")
    assert [(row.item_id, row.changes) for row in log] == [
        (item_id, {"k": {"old": "a  ", "new": "b  "}}) for item_id in ("b  /x    ", "a  /x    ")
    ]


@pytest.mark.parametrize("kind", ["table", "partitioned"])
def test_a_table_whose_columns_are_all_operational(
    connection: psycopg.Connection, kind: str
) -> None:
    connection.execute(
        "create table t (id int primary key, v int)"
        + (
            ""
            if kind == "table"
            else " partition by list (id);"
            "create table t1 partition of t for values in (1);"
            "create table t2 partition of t for values in (2)"
        )
    )
    connection.execute("select audit.track('t', operational => '{id,v}')")
    with recorded(connection) as log:
        connection.execute("insert into t values (1, 1)")
        connection.execute("update t set v = 2")
        connection.execute("update t set id = 2")
        connection.execute("delete from t")
    assert [(row.action, row.item_id, row.changes) for row in log] == [
        ("t_created", "1", {}),
        ("t_deleted", "2", {}),
    ]


def test_an_update_of_a_portion_of_time(connection: psycopg.Connection) -> None:
    if connection.info.server_version < 190000:
        pytest.skip("UPDATE … FOR PORTION OF came with PostgreSQL 19")
    connection.execute(
        "create table price (id int4range, valid daterange, amount int,"
        " primary key (id, valid without overlaps));"
        "insert into price values ('[1,2)', '[2026-01-01,2027-01-01)', 10);"
        "select audit.track('price')"
    )
    with recorded(connection) as log:
        connection.execute(
            "update price for portion of valid from '2026-04-01' to '2026-07-01' set amount = 12"
        )
    updated = [row.changes for row in log if row.action == "price_updated"]
    created = [row.changes for row in log if row.action == "price_created"]
    assert [change and change["amount"] for change in updated] == [{"old": 10, "new": 12}]
    assert [change and change["amount"] for change in created] == [{"new": 10}] * 2
    assert len(log) == 3
