"""Tables that their owner partitions: one item is one item, wherever its row lies and moves."""

from typing import Any

import psycopg
import pytest

from tests.support.helpers import LogRow, recorded, value

SCHEMES = {
    "list": """
        create table s.thing (region text, id int, v text, seen int, primary key (region, id))
          partition by list (region);
        create table s.thing_a partition of s.thing for values in ('a');
        create table s.thing_b partition of s.thing for values in ('b');
        create table s.thing_c partition of s.thing for values in ('c', 'd');
    """,
    "range": """
        create table s.thing (region text, id int, v text, seen int, primary key (region, id))
          partition by range (region);
        create table s.thing_a partition of s.thing for values from ('a') to ('b');
        create table s.thing_b partition of s.thing for values from ('b') to ('c');
        create table s.thing_c partition of s.thing default;
    """,
    "sub-partitioned": """
        create table s.thing (region text, id int, v text, seen int, primary key (region, id))
          partition by list (region);
        create table s.thing_a partition of s.thing for values in ('a') partition by hash (id);
        create table s.thing_a0 partition of s.thing_a for values with (modulus 2, remainder 0);
        create table s.thing_a1 partition of s.thing_a for values with (modulus 2, remainder 1);
        create table s.thing_b partition of s.thing for values in ('b') partition by range (id);
        create table s.thing_b0 partition of s.thing_b for values from (0) to (1000);
        create table s.thing_c partition of s.thing for values in ('c', 'd');
    """,
    "columns in another order": """
        create table s.thing (region text, id int, v text, seen int, primary key (region, id))
          partition by list (region);
        create table s.thing_a (gone int, seen int, v text, id int not null, region text not null);
        alter table s.thing_a drop gone;
        alter table s.thing attach partition s.thing_a for values in ('a');
        create table s.thing_b (v text, id int not null, gone int, region text not null, seen int);
        alter table s.thing_b drop gone;
        alter table s.thing attach partition s.thing_b for values in ('b');
        create table s.thing_c partition of s.thing for values in ('c', 'd');
    """,
}

Short = tuple[str, str, dict[str, Any] | None]


def short(rows: list[LogRow]) -> list[Short]:
    return [(row.action, row.item_id, row.changes) for row in rows]


def created(region: str, number: int, v: str) -> Short:
    new = {"region": region, "id": number, "v": v}
    changes = {column: {"new": data} for column, data in new.items()}
    return ("thing_created", f"{region}/{number}", changes)


def deleted(region: str, number: int, v: str) -> Short:
    old = {"region": region, "id": number, "v": v}
    changes = {column: {"old": data} for column, data in old.items()}
    return ("thing_deleted", f"{region}/{number}", changes)


def moved(number: int, old: str, new: str, **others: tuple[str, str]) -> list[Short]:
    """A new region is a new id: what came of the item is told, and what the item was."""
    pairs = {"region": (old, new), **others}
    changes = {column: {"old": a, "new": b} for column, (a, b) in pairs.items()}
    return [("thing_updated", f"{region}/{number}", changes) for region in (new, old)]


@pytest.fixture(params=list(SCHEMES))
def things(request: pytest.FixtureRequest, connection: psycopg.Connection) -> psycopg.Connection:
    """A session that tracks s.thing: partitioned by region, seen is operational."""
    connection.execute("create schema s")
    connection.execute(SCHEMES[request.param])
    connection.execute("select audit.track('s.thing', operational => '{seen}')")
    return connection


def test_plain_writes(things: psycopg.Connection) -> None:
    with recorded(things) as log:
        things.execute("insert into s.thing values ('a', 1, 'x', 0), ('b', 2, 'y', 0)")
        things.execute("update s.thing set v = 'z'")
        things.execute("update s.thing set v = v, seen = 5")
        things.execute("update s.thing set seen = 6")
        things.execute("delete from s.thing where id = 1")
        things.execute("delete from s.thing where id = 0")
    rows = short(log)
    assert rows[:2] == [created("a", 1, "x"), created("b", 2, "y")]
    assert sorted(rows[2:4], key=str) == [
        ("thing_updated", "a/1", {"v": {"old": "x", "new": "z"}}),
        ("thing_updated", "b/2", {"v": {"old": "y", "new": "z"}}),
    ]
    assert rows[4:] == [deleted("a", 1, "z")]
    assert {row.item_type for row in log} == {"thing"}


def test_writes_straight_into_a_partition(things: psycopg.Connection) -> None:
    with recorded(things) as log:
        things.execute("insert into s.thing_a (region, id, v) values ('a', 1, 'x')")
        with things.cursor().copy("copy s.thing_b (region, id, v) from stdin") as copy:
            copy.write("b\t2\ty\n")
        things.execute("update s.thing_a set v = 'z'")
        things.execute("update s.thing_a set seen = 1")
        things.execute("delete from s.thing_b")
    assert short(log) == [
        created("a", 1, "x"),
        created("b", 2, "y"),
        ("thing_updated", "a/1", {"v": {"old": "x", "new": "z"}}),
        deleted("b", 2, "y"),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "update s.thing set region = 'b' where id = 1",
        "update s.thing set region = 'b', seen = 9 where id = 1",
        (
            "merge into s.thing using (values (1)) as m (id) on m.id = thing.id"
            " when matched then update set region = 'b'"
        ),
        "with w as (update s.thing set region = 'b' where id = 1 returning *) select from w",
    ],
)
def test_a_row_moved_is_told_on_both_sides(things: psycopg.Connection, statement: str) -> None:
    things.execute("insert into s.thing values ('a', 1, 'x', 0)")
    with recorded(things) as log:
        things.execute(statement)
    assert short(log) == moved(1, "a", "b")
    with recorded(things) as log:
        things.execute("update s.thing set region = 'c', v = 'y'")
    assert short(log) == moved(1, "b", "c", v=("x", "y"))


def test_the_next_statements_after_a_move_are_what_they_are(things: psycopg.Connection) -> None:
    things.execute("insert into s.thing values ('a', 1, 'x', 0)")
    with recorded(things) as log:
        things.execute("update s.thing set region = 'b'")
        things.execute("delete from s.thing")
        things.execute("insert into s.thing values ('b', 1, 'x', 0)")
        things.execute("update s.thing set region = 'a'")
        things.execute("insert into s.thing values ('b', 1, 'x', 0)")
        things.execute("delete from s.thing where region = 'a'")
    assert short(log) == [
        *moved(1, "a", "b"),
        deleted("b", 1, "x"),
        created("b", 1, "x"),
        *moved(1, "b", "a"),
        created("b", 1, "x"),
        deleted("a", 1, "x"),
    ]


def test_each_of_many_rows_moved_is_told_on_both_sides(things: psycopg.Connection) -> None:
    things.execute(
        "insert into s.thing select chr(97 + n % 2), n, 'v' || n, 0 from generate_series(1, 300) n"
    )
    with recorded(things) as log:
        things.execute("update s.thing set region = chr(98 + (id % 3))")
    expected = [
        row
        for n in range(1, 301)
        if chr(97 + n % 2) != chr(98 + n % 3)
        for row in moved(n, chr(97 + n % 2), chr(98 + n % 3))
    ]
    assert sorted(short(log), key=str) == sorted(expected, key=str)


def test_an_upsert_moves_nothing_and_a_merge_may(things: psycopg.Connection) -> None:
    things.execute("insert into s.thing values ('a', 1, 'x', 0), ('a', 2, 'y', 0)")
    with recorded(things) as log:
        things.execute(
            "insert into s.thing values ('a', 1, 'z', 0), ('b', 3, 'n', 0)"
            " on conflict (region, id) do update set v = excluded.v"
        )
    assert sorted(short(log), key=str) == sorted(
        [("thing_updated", "a/1", {"v": {"old": "x", "new": "z"}}), created("b", 3, "n")], key=str
    )
    with recorded(things) as log:
        things.execute(
            "merge into s.thing as t using (values (1), (2), (3), (4)) as m (id) on m.id = t.id"
            " when matched and t.id = 1 then update set region = 'b'"
            " when matched and t.id = 2 then update set region = 'c'"
            " when matched then delete"
            " when not matched then insert values ('a', m.id, 'm', 0)"
        )
    assert sorted(short(log), key=str) == sorted(
        [*moved(1, "a", "b"), *moved(2, "a", "c"), deleted("b", 3, "n"), created("a", 4, "m")],
        key=str,
    )


def test_an_upsert_may_not_move_but_its_error_leaves_nothing(things: psycopg.Connection) -> None:
    things.execute("insert into s.thing values ('a', 1, 'x', 0)")
    with recorded(things) as log:
        with pytest.raises(psycopg.Error), things.transaction():
            things.execute(
                "insert into s.thing values ('a', 1, 'z', 0)"
                " on conflict (region, id) do update set region = 'b'"
            )
        things.execute("insert into s.thing values ('b', 1, 'x', 0)")
    assert short(log) == [created("b", 1, "x")]


def test_a_delete_and_an_insert_in_one_statement_are_two(things: psycopg.Connection) -> None:
    things.execute("insert into s.thing values ('a', 1, 'x', 0)")
    with recorded(things) as log:
        things.execute(
            "with gone as (delete from s.thing returning *)"
            " insert into s.thing select 'b', id, v, seen from gone"
        )
    assert sorted(short(log), key=str) == [created("b", 1, "x"), deleted("a", 1, "x")]


def test_a_move_beside_a_delete_in_one_statement(things: psycopg.Connection) -> None:
    things.execute(
        "insert into s.thing values ('a', 1, 'x', 0), ('a', 2, 'y', 0), ('b', 3, 'z', 0)"
    )
    with recorded(things) as log:
        things.execute(
            "with gone as (delete from s.thing where id = 2 returning *),"
            " moved as (update s.thing set region = 'b' where id = 1 returning *),"
            " came as (insert into s.thing values ('c', 4, 'n', 0) returning *)"
            " select from gone, moved, came"
        )
    assert sorted(short(log), key=str) == sorted(
        [deleted("a", 2, "y"), *moved(1, "a", "b"), created("c", 4, "n")], key=str
    )


def test_a_move_that_fails_leaves_no_trace(things: psycopg.Connection) -> None:
    things.execute(
        "insert into s.thing values ('a', 1, 'x', 0), ('b', 1, 'y', 0), ('b', 2, 'y', 0)"
    )
    with recorded(things) as log:
        with pytest.raises(psycopg.errors.UniqueViolation), things.transaction():
            things.execute("update s.thing set region = 'b' where region = 'a'")
        things.execute("insert into s.thing values ('c', 1, 'z', 0)")
        things.execute("delete from s.thing where region = 'c'")
        things.execute("update s.thing set region = 'c' where region = 'a'")
    assert short(log) == [created("c", 1, "z"), deleted("c", 1, "z"), *moved(1, "a", "c")]


def test_truncate_of_the_root_and_of_a_leaf(things: psycopg.Connection) -> None:
    with recorded(things) as log:
        things.execute("truncate s.thing_c")
    assert [(row.action, row.item, row.parent) for row in log] == [
        ("table_truncated", "table:s.thing_c", "table:s.thing")
    ]
    with recorded(things) as log:
        things.execute("truncate s.thing")
    relations = value(things, "select array_agg(relid::text) from pg_partition_tree('s.thing')")
    assert sorted(row.item_id for row in log) == sorted(relations)
    assert [row.parent for row in log if row.item_id == "s.thing"] == [None]


def test_partitions_that_come_later(things: psycopg.Connection) -> None:
    strategy = "select partstrat from pg_partitioned_table where partrelid = 's.thing'::regclass"
    bounds = {"l": "in ('{}')", "r": "from ('{}') to ('{}~')"}[value(things, strategy)]
    things.execute(
        "alter table s.thing detach partition s.thing_c;"
        "create table s.later (like s.thing including indexes);"
        "insert into s.later values ('c', 1, 'x', 0);"
        f"alter table s.thing attach partition s.later for values {bounds.format('c', 'c')};"
        f"create table s.more partition of s.thing for values {bounds.format('e', 'e')}"
    )
    with recorded(things) as log:
        things.execute("update s.thing set v = 'y'")
        things.execute("insert into s.more values ('e', 2, 'n', 0)")
        things.execute("update s.thing set region = 'e' where id = 1")
        things.execute("delete from s.more where id = 2")
        things.execute("truncate s.later")
        things.execute("insert into s.thing_c values ('c', 3, 'n', 0)")
    assert short(log) == [
        ("thing_updated", "c/1", {"v": {"old": "x", "new": "y"}}),
        created("e", 2, "n"),
        *moved(1, "c", "e"),
        deleted("e", 2, "n"),
        ("table_truncated", "s.later", None),
    ]


def test_a_partition_that_left_is_no_longer_part_of_the_item(things: psycopg.Connection) -> None:
    things.execute("alter table s.thing detach partition s.thing_c")
    with recorded(things) as log:
        things.execute("insert into s.thing_c values ('c', 1, 'x', 0)")
        things.execute("truncate s.thing_c")
        things.execute("drop table s.thing_c")
        things.execute("insert into s.thing values ('a', 1, 'x', 0)")
    assert [row for row in short(log) if row[0] != "tracking_changed"] == [created("a", 1, "x")]


def test_hash_partitions(connection: psycopg.Connection) -> None:
    connection.execute(
        "create table thing (id int primary key, v text) partition by hash (id);"
        "create table thing_0 partition of thing for values with (modulus 2, remainder 0);"
        "create table thing_1 partition of thing for values with (modulus 2, remainder 1);"
        "select audit.track('thing')"
    )
    with recorded(connection) as log:
        connection.execute("insert into thing select n, 'x' from generate_series(1, 20) as n")
        connection.execute("update thing set id = id + 100")
        connection.execute("delete from thing")
    assert [row.item_id for row in log[:20]] == [str(n) for n in range(1, 21)]
    assert {row.item_id: row.changes for row in log[20:60]} == {
        str(number): {"id": {"old": n, "new": n + 100}}
        for n in range(1, 21)
        for number in (n, n + 100)
    }
    assert {row.action for row in log[60:]} == {"thing_deleted"}
    assert len(log) == 80


def test_partitioned_by_an_expression(connection: psycopg.Connection) -> None:
    connection.execute(
        "create table base (id int, v text) partition by list (lower(v));"
        "create table base_a partition of base for values in ('a');"
        "create table base_b partition of base for values in ('b')"
    )
    with pytest.raises(psycopg.Error, match="no primary key") as refused:
        connection.execute("select audit.track('base')")
    assert refused.value.sqlstate == "UA001"


@pytest.mark.parametrize("kind", ["row", "statement"])
def test_moves_with_lookups_cascades_and_triggers(
    connection: psycopg.Connection, kind: str
) -> None:
    connection.execute(
        "create schema s;" + SCHEMES["list"] + "create table s.owner (name text primary key);"
        "alter table s.thing add owner text references s.owner on update cascade on delete cascade;"
        "insert into s.owner values ('ana'), ('ben');"
        "select audit.track('s.owner');"
        "select audit.track('s.thing', operational => '{seen}', item_label => 'o.name',"
        ' lookups => \'{"o": "owner"}\')'
    )
    connection.execute(
        "create function s.touch() returns trigger language plpgsql as $$ begin"
        " if tg_level = 'ROW' and tg_when = 'BEFORE' then new.v := new.v || '!';"
        " return new; end if;"
        " return null; end $$;"
        "create trigger touch "
        + (
            "before update on s.thing for each row"
            if kind == "row"
            else "after update on s.thing for each statement"
        )
        + " execute function s.touch()"
    )
    bang = "!" if kind == "row" else ""
    connection.execute(
        "insert into s.thing values ('a', 1, 'x', 0, 'ana'), ('b', 2, 'y', 0, 'ben')"
    )
    with recorded(connection) as log:
        connection.execute("update s.thing set region = 'c' where id = 1")
        connection.execute("update s.owner set name = 'anna' where name = 'ana'")
        connection.execute("delete from s.owner where name = 'anna'")
    v = ("x", "x!") if bang else None
    first = moved(1, "a", "c", v=v) if v else moved(1, "a", "c")
    assert short(log)[:2] == first
    assert [(row.action, row.item_label, row.is_cascade) for row in log] == [
        ("thing_updated", "ana", False),
        ("thing_updated", "ana", False),
        ("owner_updated", None, False),
        ("owner_updated", None, False),
        ("thing_updated", "anna", False),
        ("owner_deleted", None, False),
        ("thing_deleted", "anna", True),
    ]


def test_a_trigger_that_cancels_half_of_a_move(connection: psycopg.Connection) -> None:
    connection.execute("create schema s")
    connection.execute(SCHEMES["list"])
    connection.execute(
        "select audit.track('s.thing', operational => '{seen}');"
        "create function s.refuse() returns trigger language plpgsql as"
        " $$ begin if new.id = 1 then return null; end if; return new; end $$;"
        "create trigger refuse before insert on s.thing_b for each row execute function s.refuse();"
        "insert into s.thing values ('a', 1, 'x', 0), ('a', 2, 'y', 0)"
    )
    with recorded(connection) as log:
        connection.execute("update s.thing set region = 'b'")
    assert value(connection, "select count(*) from s.thing") == 1
    assert sorted(short(log), key=str) == sorted(
        [deleted("a", 1, "x"), *moved(2, "a", "b")], key=str
    )


def test_moves_of_values_that_text_changes(connection: psycopg.Connection) -> None:
    connection.execute(
        "create schema s; create type s.pair as (a text, b json);"
        "create table s.thing (region text, id int, f float8, t timestamptz, i interval, p s.pair,"
        " j json, b bytea, big text, m money, primary key (region, id)) partition by list (region);"
        "create table s.thing_a partition of s.thing for values in ('a');"
        "create table s.thing_b partition of s.thing for values in ('b');"
        "select audit.track('s.thing');"
        "set local extra_float_digits = -15; set local timezone = 'America/New_York';"
        "set local intervalstyle = 'sql_standard'; set local bytea_output = 'escape'"
    )
    connection.execute(
        "insert into s.thing values ('a', 1, 0.1::float8 + 0.2, '2026-03-01 00:00+05',"
        " '1 day 2:00',"
        " row('x,\"y', '{\"a\": 1}'), '{\"a\":  1}', '\\x00ff', repeat('x', 2000000), '1.50')"
    )
    with recorded(connection) as log:
        connection.execute("update s.thing set region = 'b'")
    assert short(log) == moved(1, "a", "b")
