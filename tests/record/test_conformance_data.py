"""Pitfalls of data: every value and every name gets into the log as it is."""

import json
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.support.helpers import LogRow, recorded, value


@pytest.fixture
def conn(connection: psycopg.Connection) -> psycopg.Connection:
    return connection


def track(conn: psycopg.Connection, definition: LiteralString) -> None:
    """Create public.thing and track it, by its title where it has one."""
    conn.execute(sql.SQL("create table public.thing ({})").format(sql.SQL(definition)))
    conn.execute("select audit.track('public.thing')")


def new_values(row: LogRow) -> dict[str, Any]:
    assert row.changes is not None
    return {name: change["new"] for name, change in row.changes.items()}


def as_text(conn: psycopg.Connection, row: LogRow, column: str) -> str:
    """Return the new value of a column as PostgreSQL writes it in JSON."""
    found: str = value(
        conn,
        "select (changes -> %s -> 'new')::text from audit.events where id = %s",
        column,
        row.id,
    )
    return found


@pytest.mark.parametrize(
    "document",
    ['{"a": "\\u0000"}', '{"a": 1, "a": 2}', '{"a":   1.50}', '"\\ud83d\\ude00"', "null"],
)
def test_json_that_jsonb_refuses_is_kept_as_the_text_it_is(
    conn: psycopg.Connection, document: str
) -> None:
    track(conn, "id integer primary key, doc json, docs json[]")
    with recorded(conn) as rows:
        conn.execute("insert into public.thing values (1, %s, array[%s]::json[])", [document] * 2)
        conn.execute("update public.thing set doc = null")
        conn.execute("delete from public.thing")
    assert [row.action for row in rows] == ["thing_created", "thing_updated", "thing_deleted"]
    assert new_values(rows[0]) == {"id": 1, "doc": document, "docs": [document]}


def test_values_of_megabytes_are_recorded_whole(conn: psycopg.Connection) -> None:
    track(conn, "id integer primary key, body text, raw bytea")
    with recorded(conn) as rows:
        conn.execute(
            "insert into public.thing values (1, repeat('ä', 3000000),"
            " decode(repeat('ab', 2000000), 'hex'))"
        )
        conn.execute("update public.thing set body = body || 'x'")
    assert new_values(rows[0])["body"] == "ä" * 3_000_000
    assert new_values(rows[0])["raw"] == "\\x" + "ab" * 2_000_000
    assert new_values(rows[1])["body"] == "ä" * 3_000_000 + "x"


def test_large_columns_that_did_not_change_or_are_not_audited_stay_out(
    conn: psycopg.Connection,
) -> None:
    conn.execute(
        "create table public.thing (id integer primary key, body text, cache text, note text);"
        "select audit.track('public.thing', operational => '{cache}')"
    )
    with recorded(conn) as rows:
        conn.execute(
            "insert into public.thing values (1, repeat('b', 100000), repeat('c', 100000))"
        )
        conn.execute("update public.thing set note = 'x', cache = cache || 'd'")
    assert set(new_values(rows[0])) == {"id", "body", "note"}
    assert rows[1].changes == {"note": {"old": None, "new": "x"}}


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("float8", "NaN", '"NaN"'),
        ("float8", "-Infinity", '"-Infinity"'),
        ("float8", "0.1", "0.1"),
        ("float8", "1e300", "1" + "0" * 300),
        ("float4", "3.4028235e38", "340282350000000000000000000000000000000"),
        ("numeric", "NaN", '"NaN"'),
        ("numeric", "Infinity", '"Infinity"'),
        ("numeric", "1.10", "1.10"),
        ("numeric(40,20)", "12345678901234567890.5", "12345678901234567890.50000000000000000000"),
        ("bigint", "9007199254740993", "9007199254740993"),
        ("bigint", "-9223372036854775808", "-9223372036854775808"),
        ("timestamptz", "infinity", '"infinity"'),
        ("timestamptz", "-infinity", '"-infinity"'),
        ("timestamptz", "2026-11-22 10:00:00+02", '"2026-11-22T08:00:00+00:00"'),
        ("timestamptz", "0044-03-15 12:00:00+00 BC", '"0044-03-15T12:00:00+00:00 BC"'),
        ("timestamptz", "12026-01-01 00:00:00.000001+00", '"12026-01-01T00:00:00.000001+00:00"'),
        ("date", "infinity", '"infinity"'),
        ("text", "", '""'),
        ("char(4)", "a", '"a   "'),
        ("text[]", '{a,NULL,"b,c"}', '["a", null, "b,c"]'),
        ("integer[]", "{{1,2},{3,4}}", "[[1, 2], [3, 4]]"),
        ("int4range", "[1,5)", '"[1,5)"'),
        ("jsonb", '{"b": 1, "a": null}', '{"a": null, "b": 1}'),
        ("jsonb", "null", "null"),
    ],
)
def test_numbers_and_times_keep_every_digit(
    conn: psycopg.Connection, kind: LiteralString, given: str, kept: str
) -> None:
    track(conn, "id integer primary key, it " + kind)
    with recorded(conn) as rows:
        conn.execute("insert into public.thing values (1, %s)", (given,))
    assert as_text(conn, rows[0], "it") == kept


@pytest.mark.parametrize(
    ("key", "values", "item"),
    [
        ("a integer primary key, b text", "(1, 'x')", "1"),
        ("a uuid primary key", "('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')",
         "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("a text primary key", "('a/b~c ü')", "a/b~c ü"),
        ("a integer, b text, primary key (a, b)", "(1, 'x/y~z')", "1/x~1y~0z"),
        ("b text, a integer, primary key (a, b)", "('x', 1)", "x/1"),
        ("a timestamptz primary key", "('2026-11-22 10:00+02')", "2026-11-22T08:00:00+00:00"),
        ("a bytea primary key", r"('\x00ff')", r"\x00ff"),
        ("a boolean, b numeric, primary key (a, b)", "(true, 1.10)", "true/1.10"),
    ],
)  # fmt: skip
def test_any_primary_key_names_the_item(
    conn: psycopg.Connection, key: LiteralString, values: LiteralString, item: str
) -> None:
    track(conn, key)
    with recorded(conn) as rows:
        conn.execute(sql.SQL("insert into public.thing values {}").format(sql.SQL(values)))
        conn.execute("delete from public.thing")
    assert [row.item_id for row in rows] == [item, item]


def test_a_table_without_a_primary_key_is_refused(conn: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error, match="no primary key") as refused:
        track(conn, "id integer")
    assert refused.value.sqlstate == "UA001"
    assert "add primary key" in (refused.value.diag.message_hint or "")


def test_a_new_primary_key_is_recorded_with_the_old_one(conn: psycopg.Connection) -> None:
    track(conn, "a integer, b text, c text, primary key (a, b)")
    conn.execute("insert into public.thing values (1, 'x', 'c')")
    with recorded(conn) as rows:
        conn.execute("update public.thing set b = 'y'")
    assert [row.item_id for row in rows] == ["1/y", "1/x"]
    assert [row.changes for row in rows] == [{"b": {"old": "x", "new": "y"}}] * 2


NAMES = (
    *(
        "new",
        "old",
        "action",
        "v_actor",
        "v_changes",
        "v_thing_updated",
        "v_actor_type",
        "v_actor_id",
        "v_actor_label",
        "v_context",
        "v_account_id",
        "v_item_id",
        "v_item_label",
        "v_departed",
        "v_moving",
        "v_current",
        "tg_op",
    ),
    *("select", "Mixed Case", "with.dot", 'with"quote', "with'apostrophe", "with\\backslash"),
    *("%s", "%%", "$1", "$$", ":name", "a::b", "ünïcödé", "名前", "line\nbreak", "tab\t"),
    *("x" * 63, "ü" * 31, "--", "/*", "{}", "p", "g", "c", "r", "here", "name", "k", "account"),
    *("changes", "context", "item_id", "actor_type", "is_cascade", "account_id", "found", "q", "d"),
)


@pytest.mark.parametrize("name", NAMES)
def test_any_column_name_is_recorded_as_it_is(conn: psycopg.Connection, name: str) -> None:
    column = sql.Identifier(name)
    conn.execute(
        sql.SQL("create table public.thing (id integer primary key, {} text)").format(column)
    )
    conn.execute("select audit.track('public.thing', item_label => %s)", (column.as_string(conn),))
    with recorded(conn) as rows:
        conn.execute(
            sql.SQL("insert into public.thing (id, {}) values (1, 'a'), (2, 'b')").format(column)
        )
        conn.execute(sql.SQL("update public.thing set {} = 'A' where id = 1").format(column))
        conn.execute("delete from public.thing")
    assert [(row.action, row.item_label, row.actor_type) for row in rows] == [
        ("thing_created", "a", "database"),
        ("thing_created", "b", "database"),
        ("thing_updated", "A", "database"),
        ("thing_deleted", "b", "database"),
        ("thing_deleted", "A", "database"),
    ]
    assert rows[2].changes == {name: {"old": "a", "new": "A"}}


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_key_in_grouped_parts(conn: psycopg.Connection, name: str) -> None:
    """The rows of a link table, one row of the log for each item and statement."""
    column = sql.Identifier(name)
    conn.execute(
        sql.SQL(
            "create table public.whole (id integer primary key, title text);"
            "create table public.bit (whole_id integer references public.whole on delete cascade,"
            "   {0} integer, size integer, primary key (whole_id, {0}))"
        ).format(column)
    )
    conn.execute(
        "select audit.track('public.whole'), audit.track('public.bit', item_type => 'whole',"
        " item_id => 'whole_id', item_label => 'whole.title',"
        ' lookups => \'{"whole": "whole_id"}\','
        ' part => \'bits\', part_name => %s, actions => $$[{"action": "whole_bits_set",'
        ' "on": ["insert", "update", "delete"], "grouped": true}]$$)',
        (value(conn, "select quote_ident(%s)", name),),
    )
    with recorded(conn) as rows:
        conn.execute("insert into public.whole values (1, 'w')")
        conn.execute("insert into public.bit values (1, 1, 1), (1, 2, 2)")
        conn.execute("update public.bit set size = size * 10")
        conn.execute("delete from public.whole")
    assert (
        sorted((row.action, row.item_label) for row in rows if row.item_label)
        == [("whole_bits_set", "w")] * 3
    )
    assert rows[2].changes == {
        "bits/1/size": {"old": 1, "new": 10},
        "bits/2/size": {"old": 2, "new": 20},
    }


@pytest.mark.parametrize("name", [n for n in NAMES if n != ""])
def test_any_table_name_and_schema_name_is_tracked(conn: psycopg.Connection, name: str) -> None:
    schema, table = sql.Identifier(name), sql.Identifier(name, name)
    conn.execute(sql.SQL("create schema {}").format(schema))
    conn.execute(sql.SQL("create table {} (id integer primary key, title text)").format(table))
    with recorded(conn) as rows:
        conn.execute("select audit.track(%s::regclass)", (table.as_string(conn),))
        conn.execute(sql.SQL("insert into {} values (1, 'a')").format(table))
        conn.execute(sql.SQL("update {} set title = 'b'").format(table))
        conn.execute(sql.SQL("delete from {}").format(table))
        conn.execute(sql.SQL("truncate {}").format(table))
        conn.execute("select audit.untrack(%s::regclass)", (table.as_string(conn),))
    assert [row.action for row in rows] == [
        "tracking_started",
        f"{name}_created",
        f"{name}_updated",
        f"{name}_deleted",
        "table_truncated",
        "tracking_stopped",
    ]
    assert {row.item_type for row in rows[1:4]} == {name}


def test_an_action_can_be_used_in_the_transaction_that_declares_it(
    conn: psycopg.Connection,
) -> None:
    track(conn, "id integer primary key, title text")
    actions = [
        {"action": "thing_retitled", "on": "update", "columns": ["title"], "label": "Retitled"}
    ]
    conn.execute("select audit.track('public.thing', actions => %s)", (json.dumps(actions),))
    with recorded(conn) as rows:
        conn.execute("insert into public.thing values (1, 'a')")
        conn.execute("update public.thing set title = 'b'")
    assert [row.action for row in rows] == ["thing_retitled"]
    assert value(conn, "select label from audit.actions where action = 'thing_retitled'") == (
        "Retitled"
    )
