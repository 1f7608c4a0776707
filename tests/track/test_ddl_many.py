"""DDL beside many tracked tables looks at the one that it is about, and at no other."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.helpers import recorded, value
from tests.track.test_ddl_tables import short

if TYPE_CHECKING:
    import psycopg

    from tests.conftest import Connect

THINGS = """
create schema app;
create function app.make(first int, last int) returns void language plpgsql as $$
begin
  for n in first..last loop
    execute format('create table app.thing_%s (id int primary key, v text, w text)', n);
    perform audit.track(format('app.thing_%s', n));
  end loop;
end $$;
"""
STATEMENTS = (
    "create temp table kept_{n} (id int)",
    "create table app.other_{n} (id int primary key)",
    "alter table app.other_{n} add column v text",
    "drop table app.other_{n}",
    "alter table app.thing_{n} set (fillfactor = 90)",
    "alter table app.thing_{n} add column a text",
    "alter table app.thing_{n} drop column v",
    "create index on app.thing_{n} (w)",
)


@pytest.fixture
def database(engine_database: str) -> str:
    """Nothing is tracked but what a test tracks."""
    return engine_database


def test_ddl_costs_the_same_beside_many_tracked_tables(connect: Connect) -> None:
    """Rows read and functions called, by statement: not one more beside thirty tables."""
    conn = connect(autocommit=True)
    conn.execute("set track_functions = 'all'; set enable_seqscan = off")
    conn.execute(THINGS.encode())
    few = asked(conn, range(1, 9))
    many = asked(conn, range(9, 49))
    assert few[STATEMENTS[0]] == (0, {"after_ddl": 1})
    assert few[STATEMENTS[5]][1]["compile_table"] == 1
    for statement, (read, calls) in many.items():
        # Another plan may read a row once more.
        assert read <= few[statement][0] + 3, statement
        assert calls == few[statement][1], statement


def asked(conn: psycopg.Connection, tables: range) -> dict[str, tuple[int, dict[str, int]]]:
    """Track tables; return for each statement what is read of audit.tracked, and what is called."""
    conn.execute("select app.make(%s, %s)", (tables[0], tables[-1]))
    found = {}
    # The last one counts: what a session asks but once, it has asked.
    for number in tables[:8]:
        for statement in STATEMENTS:
            with conn.transaction():
                read, calls = counted(conn)
                conn.execute(statement.format(n=number).encode())
                read_then, calls_then = counted(conn)
            found[statement] = (read_then - read, dict(calls_then - calls))
    return found


def counted(conn: psycopg.Connection) -> tuple[int, Counter[str]]:
    """Return how many rows of audit.tracked were read so far, and what was called how often."""
    read = value(
        conn,
        "select seq_tup_read + coalesce(idx_tup_fetch, 0)"
        " from pg_stat_xact_user_tables where relid = 'audit.tracked'::regclass",
    )
    calls = conn.execute(
        "select funcname, calls from pg_stat_xact_user_functions where schemaname = 'audit'"
    )
    return int(read), Counter(dict(calls.fetchall()))


def test_every_function_of_the_schema_is_part_of_the_compiler(connect: Connect) -> None:
    """But for triggers, and for the two that a new layout makes anew."""
    conn = connect()
    rows = conn.execute(
        "select distinct proname from pg_proc where pronamespace = 'audit'::regnamespace"
        " and prorettype <> 'trigger'::regtype"
        " and proname <> all ('{record_text,record_values}') order by 1"
    ).fetchall()
    assert conn.execute("select unnest(audit.compiler_functions())").fetchall() == rows


@pytest.mark.parametrize("name", ["presented", "record_value", "apply_declaration"])
def test_another_compiler_compiles_anew(connection: psycopg.Connection, name: str) -> None:
    connection.execute(THINGS.encode())
    connection.execute("select app.make(1, 1)")
    before = value(connection, "select inputs from audit.tracked where slug = 'app_thing_1'")
    connection.execute(
        "do $do$ begin execute replace(pg_get_functiondef((select oid from pg_proc"
        f" where pronamespace = 'audit'::regnamespace and proname = '{name}')),"
        " 'as $function$', E'as $function$\\n--'); end $do$".replace("as $f", "AS $f").encode()
    )
    connection.execute("select audit.refresh('app.thing_1')")
    after = value(connection, "select inputs from audit.tracked where slug = 'app_thing_1'")
    assert before != after


ALTERED = {
    "a name": ("alter table app.thing_1 drop column v", ["app.thing_1"]),
    "without its schema": ("alter table thing_1 drop column v", ["app.thing_1"]),
    "of another schema": ("alter table public.thing_1 drop column v", []),
    "in capitals": ("ALTER TABLE IF EXISTS ONLY App.THING_1 DROP v", ["app.thing_1"]),
    "quoted": ('alter table "app" . "thing_1" drop column v', ["app.thing_1"]),
    "a part of a word": ("alter table app.thing_10 drop column v", ["app.thing_10"]),
    "longer than a name": (f"alter table {'n' * 70} drop v", ["app." + "n" * 63]),
    "a name to be quoted": (
        'alter table app."My ""thing\'s" drop column v',
        ['app."My ""thing\'s"'],
    ),
    "two of them": (
        "alter table thing_10 drop v; alter table only thing_1 drop v",
        ["app.thing_10", "app.thing_1"],
    ),
    "a type": ("alter type app.kind alter attribute v type text cascade", ["app.kinds"]),
    "a comment": (
        "alter table /* alter table thing_1 */ app.x drop v -- alter table thing_1\n",
        [],
    ),
    "a comment in between": ("alter table /* thing_10 */ thing_1 drop v", ["app.thing_1"]),
    "a string": ("alter table x add z text default 'alter table thing_1 drop v'", []),
    "a string with an escape": (r"alter table x add z text default E'\' alter table thing_1'", []),
    "a name with a quote in it": (
        'alter table "-- ""/*" drop v; alter table thing_1',
        ["app.thing_1"],
    ),
    "not altered": ("comment on table app.thing_1 is null", []),
    "nothing": ("", []),
}


@pytest.mark.parametrize("case", ALTERED)
def test_a_text_alters_tables(connection: psycopg.Connection, case: str) -> None:
    connection.execute("create schema app; create type app.kind as (id int, v int)")
    for name in ("thing_1", "thing_10", '"My ""thing\'s"', "n" * 63):
        connection.execute(f"create table app.{name} (id int primary key, v text)".encode())
        connection.execute("select audit.track(%s)", (f"app.{name}",))
    connection.execute("create table app.kinds of app.kind (primary key (id))")
    connection.execute("select audit.track('app.kinds')")
    statement, expected = ALTERED[case]
    rows = connection.execute("select t::text from audit.tables_altered(%s) as t", (statement,))
    assert [name for (name,) in rows] == expected


def test_a_table_is_not_widened_for_one_whose_name_begins_the_same(
    connection: psycopg.Connection,
) -> None:
    connection.execute(THINGS.encode())
    connection.execute("select app.make(1, 10)")
    trigger = (
        "select oid from pg_trigger"
        " where tgrelid = 'app.thing_1'::regclass and tgname = '_audit_update'"
    )
    before = value(connection, trigger)
    connection.execute("alter table app.thing_10 drop column v")
    assert value(connection, trigger) == before


def test_a_trigger_that_goes_with_a_column_of_another_table_comes_back(
    connect: Connect,
) -> None:
    """By a cascade: the view of that column, the type of the view, the column of that type."""
    conn = connect(autocommit=True)
    conn.execute(
        "create schema app; create table app.rate (id int, factor int);"
        "create view app.rating as select factor from app.rate;"
        "create table app.thing (id int primary key, v text, r app.rating);"
    )
    conn.execute("select audit.track('app.thing')")
    with recorded(conn) as log:
        conn.execute("alter table app.rate drop column factor cascade")
        conn.execute("insert into app.thing values (1, 'a')")
        conn.execute("update app.thing set v = 'b'")
    assert short(log) == [
        ("tracking_changed", "table:app.thing"),
        ("thing_created", "thing:1"),
        ("thing_updated", "thing:1"),
    ]


def test_nothing_is_followed_while_ddl_is_not(connect: Connect) -> None:
    conn = connect(autocommit=True)
    conn.execute(THINGS.encode())
    conn.execute("select app.make(1, 1)")
    conn.execute("alter event trigger audit_after_ddl disable")
    conn.execute("drop table app.thing_1")
    assert value(conn, "select count(*) from audit.tracked where slug = 'app_thing_1'") == 1
