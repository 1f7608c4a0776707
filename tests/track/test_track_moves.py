"""Rows that move between partitions at any level, and what else a statement does meanwhile."""

from typing import Any

import psycopg
import pytest

from tests.support.helpers import LogRow, recorded, value

NESTED = """
create table t (a int, b int, id int, v text, primary key (a, b, id)) partition by list (a);
create table t1 partition of t for values in (1) partition by list (b);
create table t11 partition of t1 for values in (1);
create table t12 partition of t1 for values in (2);
create table t2 partition of t for values in (2) partition by list (b);
create table t21 partition of t2 for values in (1) partition by list (id);
create table t211 partition of t21 for values in (1);
create table t212 partition of t21 for values in (2);
create table t22 partition of t2 for values in (2);
"""
FLAT = """
create table t (k int, id int, v text, n int default 0, primary key (k, id)) partition by list (k);
create table t1 partition of t for values in (1);
create table t2 partition of t for values in (2);
"""
PAIRED = """
merge into t using (values (2, 'b'), (1, 'a')) as s (k, v) on t.k = s.k and t.id = 7
when matched and t.v = 'never' then update set k = 2
when matched then delete
when not matched then insert values (s.k, 7, s.v)
"""
MIXED = """
with gone as (delete from t where k = 1 and id = 7 returning *),
  came as (insert into t values (2, 7, 'b') returning *),
  moved as (update t set k = 2 where id = 1 returning *)
select from gone, came, moved
"""


def short(rows: list[LogRow]) -> list[tuple[str, str, Any]]:
    return [(r.action, r.item_id, r.changes) for r in rows if not r.is_told_twice]


@pytest.mark.parametrize(
    ("statement", "item", "changes"),
    [
        ("update t set b = 2", "1/2/1", {"b": (1, 2)}),
        ("update t1 set b = 2", "1/2/1", {"b": (1, 2)}),
        ("update t set a = 2, b = 1", "2/1/1", {"a": (1, 2)}),
        ("update t set a = 2, b = 1, id = 2", "2/1/2", {"a": (1, 2), "id": (1, 2)}),
    ],
)
def test_a_move_at_any_level_is_one_update(
    connection: psycopg.Connection, statement: str, item: str, changes: dict[str, Any]
) -> None:
    connection.execute(NESTED)
    connection.execute("select audit.track('t'); insert into t values (1, 1, 1, 'x')")
    with recorded(connection) as log:
        connection.execute(statement.encode())
    expected = {name: {"old": old, "new": new} for name, (old, new) in changes.items()}
    assert short(log) == [("t_updated", item, expected)]
    assert value(connection, "select count(*) from audit.move") == 0


@pytest.mark.parametrize("statement", ["update t set id = 2", "update t21 set id = 2"])
def test_a_move_at_the_lowest_level_is_one_update(
    connection: psycopg.Connection, statement: str
) -> None:
    connection.execute(NESTED)
    connection.execute("select audit.track('t'); insert into t values (2, 1, 1, 'x')")
    with recorded(connection) as log:
        connection.execute(statement.encode())
    assert short(log) == [("t_updated", "2/1/2", {"id": {"old": 1, "new": 2}})]
    with recorded(connection) as log:
        connection.execute("select audit.untrack('t')")
        connection.execute("update t1 set b = 2")
        connection.execute("update t set id = 1")
    assert {row.action for row in log} == {"tracking_stopped"}


def test_partitions_that_come_later_and_are_partitioned(connection: psycopg.Connection) -> None:
    connection.execute(NESTED)
    connection.execute("select audit.track('t')")
    connection.execute(
        "create table t3 partition of t for values in (3) partition by list (id);"
        "create table t31 partition of t3 for values in (1);"
        "create table t32 partition of t3 for values in (2);"
        "insert into t values (3, 1, 1, 'x')"
    )
    with recorded(connection) as log:
        connection.execute("update t3 set id = 2")
    assert short(log) == [("t_updated", "3/1/2", {"id": {"old": 1, "new": 2}})]


def test_a_merge_deletes_one_row_and_inserts_another(connection: psycopg.Connection) -> None:
    connection.execute(FLAT)
    connection.execute("select audit.track('t'); insert into t values (1, 7, 'a')")
    with recorded(connection) as log:
        connection.execute(PAIRED)
    assert sorted((row.action, row.item_id) for row in log) == [
        ("t_created", "2/7"),
        ("t_deleted", "1/7"),
    ]


def test_expressions_with_all_three_in_one_statement(connection: psycopg.Connection) -> None:
    connection.execute(FLAT)
    connection.execute("select audit.track('t'); insert into t values (1, 7, 'a'), (1, 1, 'm')")
    with recorded(connection) as log:
        connection.execute(MIXED)
    assert sorted((row.action, row.item_id) for row in log) == [
        ("t_created", "2/7"),
        ("t_deleted", "1/7"),
        ("t_updated", "1/1"),
        ("t_updated", "2/1"),
    ]


INNER = {
    "update": ("update t set n = n + 1 where id = 9", "t_updated"),
    "move": ("update t set k = 3 - k where id = 9", "t_updated"),
    "delete": ("delete from t where id = 9", "t_deleted"),
}
TIMES = ["before update", "after delete", "before delete", "after insert", "before insert"]


@pytest.mark.parametrize("when", TIMES)
@pytest.mark.parametrize("inner", INNER)
def test_a_row_trigger_writes_to_its_own_table(
    connection: psycopg.Connection, inner: str, when: str
) -> None:
    statement, action = INNER[inner]
    connection.execute(FLAT)
    connection.execute("insert into t values (1, 1, 'a'), (1, 9, 'nine')")
    connection.execute(
        "create function f() returns trigger language plpgsql as $$ begin"
        f" if pg_trigger_depth() < 2 then {statement}; end if;"
        " if tg_op = 'DELETE' then return old; end if; return new; end $$;"
        f"create trigger zz {when} on t for each row execute function f();"
        "select audit.track('t')".encode()
    )
    with recorded(connection) as log:
        connection.execute("update t set k = 2 where id = 1")
    nine = [row for row in log if row.item_id.endswith("/9") and not row.is_told_twice]
    one = [row for row in log if row.item_id.endswith("/1")]
    assert [row.action for row in nine] == [action]
    assert short(one) == [("t_updated", "2/1", {"k": {"old": 1, "new": 2}})]
    assert value(connection, "select count(*) from audit.move") == 0


def test_a_setting_that_somebody_changed_is_an_error(connection: psycopg.Connection) -> None:
    connection.execute(FLAT)
    connection.execute("insert into t values (1, 1, 'a'); select audit.track('t')")
    number = value(connection, "select id from audit.tracked where target = 't'::regclass")
    connection.execute(
        "create function f() returns trigger language plpgsql as $$ begin"
        f" perform set_config('audit.moving_{number}', '', true); return null; end $$;"
        "create trigger zz after update on t for each row execute function f();".encode()
    )
    with pytest.raises(psycopg.Error, match="belongs to audit triggers") as refused:
        connection.execute("update t set k = 1, v = 'b'")
    assert refused.value.sqlstate == "UA003"
