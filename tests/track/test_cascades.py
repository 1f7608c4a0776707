"""A row that went with its parent is marked so, whatever deletes and whatever else is counted."""

import psycopg
import pytest

from tests.support.helpers import recorded, value

PLAIN = "create table s.parent (id int primary key, name text);"
PARTITIONED = """
create table s.parent (id int primary key, name text) partition by range (id);
create table s.parent_low partition of s.parent for values from (0) to (3);
create table s.parent_high partition of s.parent for values from (3) to (100);
"""
CHILD = """
create table s.child (id int primary key, parent_id int
  references s.parent on delete cascade {deferral});
insert into s.parent select n, 'P' || n from generate_series(1, 6) as n;
insert into s.child select n, n from generate_series(1, 6) as n;
set constraints all immediate;
select audit.track('s.child');
"""


def make(conn: psycopg.Connection, parent: str = PLAIN, deferral: str = "") -> None:
    conn.execute("create schema s")
    conn.execute(parent.encode())
    conn.execute(CHILD.format(deferral=deferral).encode())


def compiled(conn: psycopg.Connection) -> str:
    text: str = value(
        conn,
        "select string_agg(prosrc, '') from pg_proc"
        " where pronamespace = 'audit'::regnamespace and proname ~ '^s_child_delete'",
    )
    return text


def is_gated(conn: psycopg.Connection) -> bool:
    return "pg_stat_get_xact_tuples_deleted" in compiled(conn)


STATEMENTS = {
    "delete": "delete from s.parent where id = 2",
    "subquery": "delete from s.parent where id in (select parent_id from s.child where id = 2)",
    "using": "delete from s.parent as p using s.child as c where c.parent_id = p.id and c.id = 2",
    "returning": "with gone as (delete from s.parent where id = 2 returning *) select * from gone",
    "merge": "merge into s.parent as p using (select 2 as id) as q on p.id = q.id"
    " when matched then delete",
    "function": "do $$ begin delete from s.parent where id = 2; end $$",
    "loop": "do $$ declare r record; begin for r in select * from s.parent where id = 2 for update"
    " loop delete from s.parent where id = r.id; end loop; end $$",
}


@pytest.mark.parametrize("parent", [PLAIN, PARTITIONED], ids=["plain", "partitioned"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_whatever_deletes_the_parent(
    connection: psycopg.Connection, statement: str, parent: str
) -> None:
    make(connection, parent)
    with recorded(connection) as log:
        connection.execute("delete from s.child where id = 1")
        connection.execute(STATEMENTS[statement].encode())
        connection.execute("delete from s.child where id = 3")
    assert [(row.item_id, row.is_cascade) for row in log] == [
        ("1", False),
        ("2", True),
        ("3", False),
    ]


def test_a_parent_deleted_straight_from_its_partition(connection: psycopg.Connection) -> None:
    make(connection, PARTITIONED)
    with recorded(connection) as log:
        connection.execute("delete from s.parent_high where id = 4")
    assert [(row.item_id, row.is_cascade) for row in log] == [("4", True)]


def test_parents_are_looked_for_only_where_one_was_deleted(connection: psycopg.Connection) -> None:
    make(connection)
    assert is_gated(connection)
    assert compiled(connection).count("not exists (select from s.parent") == 1


@pytest.mark.parametrize(
    "change",
    [
        "alter table s.parent set access method heap_again",
        "alter table s.parent enable row level security",
        "alter table s.child add up int references s.child on delete cascade",
    ],
)
def test_they_are_looked_for_always_where_deletions_are_not_counted_or_always_are(
    connection: psycopg.Connection, change: str
) -> None:
    make(connection)
    assert is_gated(connection)
    # Another name for what is the same: the compiler knows heap alone.
    connection.execute("create access method heap_again type table handler heap_tableam_handler")
    connection.execute(change.encode())
    assert not is_gated(connection)
    with recorded(connection) as log:
        connection.execute("delete from s.parent where id = 2")
        connection.execute("delete from s.child where id = 3")
    assert [(row.item_id, row.is_cascade) for row in log] == [("2", True), ("3", False)]


@pytest.mark.parametrize(
    "before",
    [
        "select pg_stat_reset()",
        "select pg_stat_reset_single_table_counters('s.parent'::regclass)",
        "select pg_stat_clear_snapshot()",
        "set local stats_fetch_consistency = snapshot",
        "set local session_replication_role = origin",
    ],
)
def test_no_setting_and_no_reset_hides_a_cascade(
    connection: psycopg.Connection, before: str
) -> None:
    make(connection)
    connection.execute("delete from s.parent where id = 1")
    with recorded(connection) as log:
        connection.execute(before.encode())
        connection.execute("delete from s.child where id = 3")
        connection.execute("delete from s.parent where id = 2")
    assert [(row.item_id, row.is_cascade) for row in log] == [("3", False), ("2", True)]


def test_where_nothing_is_counted_parents_are_looked_for(connection: psycopg.Connection) -> None:
    connection.execute("set local track_counts = off")
    make(connection)
    with recorded(connection) as log:
        connection.execute("delete from s.child where id = 3")
        connection.execute("delete from s.parent where id = 2")
    assert value(connection, "select pg_stat_get_xact_tuples_deleted('s.parent'::regclass)") == 0
    assert [(row.item_id, row.is_cascade) for row in log] == [("3", False), ("2", True)]


def test_counts_that_are_turned_off_meanwhile(connection: psycopg.Connection) -> None:
    make(connection)
    connection.execute(
        "create function s.off() returns trigger language plpgsql as"
        " $$ begin perform set_config('track_counts', 'off', true); return old; end $$;"
        "create trigger off before delete on s.parent for each row execute function s.off()"
    )
    with recorded(connection) as log:
        connection.execute("delete from s.parent where id = 2")
    assert [(row.item_id, row.is_cascade) for row in log] == [("2", True)]


def test_a_deletion_that_was_rolled_back_makes_no_cascade(connection: psycopg.Connection) -> None:
    make(connection)
    with recorded(connection) as log:
        with connection.transaction(force_rollback=True):
            connection.execute("delete from s.parent where id = 2")
        connection.execute("delete from s.child where id = 2")
    assert [(row.item_id, row.is_cascade) for row in log] == [("2", False)]


@pytest.mark.parametrize("deferral", ["", "deferrable", "deferrable initially deferred"])
def test_keys_whose_check_comes_later_delete_at_once(
    connection: psycopg.Connection, deferral: str
) -> None:
    make(connection, deferral=deferral)
    with recorded(connection) as log:
        connection.execute("delete from s.parent where id in (2, 3)")
        connection.execute("delete from s.child where id = 4")
        connection.execute("set constraints all immediate")
    assert sorted((row.item_id, row.is_cascade) for row in log) == [
        ("2", True),
        ("3", True),
        ("4", False),
    ]
