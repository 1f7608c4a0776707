"""A value of any type gets into the log as it is, and every change of it is seen."""

from collections.abc import Sequence

import psycopg
import pytest
from psycopg import sql

from tests.support.helpers import recorded, value

# What the types below are made of; mood grows by a value while it is in use.
SETUP = """
create schema kinds;
create type kinds.mood as enum ('sad', 'Happy', 'so-so');
create type kinds.pair as (n integer, t timestamptz);
create domain kinds.positive as integer check (value > 0);
create domain kinds.small as kinds.positive check (value < 1000);
create domain kinds.moment as timestamptz;
create domain kinds.raw as bytea;
create domain kinds.document as json;
create domain kinds.numbers as integer[] check (cardinality(value) < 5);
create domain kinds.moments as timestamptz[];
"""

# What a writer may have set; psycopg reads no times in such a DateStyle.
WRITER = """
set local timezone = 'Asia/Kathmandu';
set local datestyle = 'German';
set local intervalstyle = 'sql_standard';
set local extra_float_digits = -15;
set local bytea_output = 'escape';
"""

# A type; two values, as SQL; the same as the log shows them, as text.
NUMBERS = [
    ("boolean", "false", "true", "false", "true"),
    ("smallint", "1", "-32768", "1", "-32768"),
    ("integer", "0", "2147483647", "0", "2147483647"),
    ("bigint", "9007199254740993", "9007199254740992", "9007199254740993", "9007199254740992"),
    ("numeric", "1.1", "1.10", "1.1", "1.10"),
    ("numeric", "'NaN'", "'-Infinity'", "NaN", "-Infinity"),
    (
        "numeric(40, 20)",
        "0",
        "12345678901234567890.12345678901234567890",
        "0.00000000000000000000",
        "12345678901234567890.12345678901234567890",
    ),
    ("real", "'NaN'", "1.1", "NaN", "1.1"),
    ("double precision", "0.1::float8 + 0.2", "'-Infinity'", "0.30000000000000004", "-Infinity"),
    ("double precision", "0", "'-0'", "0", "-0"),
    ("money", "12.5::numeric::money", "'-1'::money", "$12.50", "-$1.00"),
    ("oid", "1", "4294967295", "1", "4294967295"),
]
TEXTS = [
    ("text", "'a'", "'A'", "a", "A"),
    ("text", "''", "'null'", "", "null"),
    (
        "text",
        r"'a''b\"c%d$1'",
        r"E'tab\t, new\nline, \\, \U0001F600'",
        r"a'b\"c%d$1",
        "tab\t, new\nline, \\, 😀",
    ),
    ("varchar(3)", "'abc'", "'ab '", "abc", "ab "),
    ("char(3)", "'a'", "'b'", "a  ", "b  "),
    ("name", "'a'", "'b'", "a", "b"),
    ('"char"', "'x'", "'y'", "x", "y"),
    ("bytea", r"'\x00ff5c'", r"'\x'", r"\x00ff5c", r"\x"),
    (
        "uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "'00000000-0000-0000-0000-000000000000'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "00000000-0000-0000-0000-000000000000",
    ),
    (
        "json",
        """'{\"a\": 1, \"a\": 2}'""",
        """'{\"a\":1, \"a\": 2}'""",
        '{"a": 1, "a": 2}',
        '{"a":1, "a": 2}',
    ),
    ("json", r"""'"\u0000"'""", "'null'", r'"\u0000"', "null"),
    ("jsonb", """'{"a": 1}'""", """'{"a": 1.0}'""", '{"a": 1}', '{"a": 1.0}'),
    ("jsonb", "'[]'", "'\"x\"'", "[]", "x"),
    ("inet", "'10.0.0.1'", "'10.0.0.1/8'", "10.0.0.1", "10.0.0.1/8"),
    ("bit(3)", "B'101'", "B'010'", "101", "010"),
    ("tsvector", "'a b'", "'a:1 b'", "'a' 'b'", "'a':1 'b'"),
    ("point", "'(1,2)'", "'(1.5,2)'", "(1,2)", "(1.5,2)"),
    ("pg_lsn", "'0/1'", "'1/0'", "0/1", "1/0"),
]
TIMES = [
    ("date", "'2026-03-01'", "'infinity'", "2026-03-01", "infinity"),
    (
        "timestamp",
        "'2026-03-01 04:05:06.789'",
        "'-infinity'",
        "2026-03-01T04:05:06.789",
        "-infinity",
    ),
    (
        "timestamptz",
        "'2026-03-01 05:45+05:45'",
        "'2026-03-01 00:00:00.000001+00'",
        "2026-03-01T00:00:00+00:00",
        "2026-03-01T00:00:00.000001+00:00",
    ),
    (
        "timestamptz",
        "'infinity'",
        "'0044-03-15 12:00 UTC BC'",
        "infinity",
        "0044-03-15T12:00:00+00:00 BC",
    ),
    ("time", "'04:05'", "'24:00'", "04:05:00", "24:00:00"),
    ("timetz", "'04:05+02'", "'04:05+03'", "04:05:00+02", "04:05:00+03"),
    ("interval", "'1 day'", "'24 hours'", "1 day", "24:00:00"),
    ("interval", "'1 mon -1 day'", "'30 days'", "1 mon -1 days", "30 days"),
]
ARRAYS = [
    ("integer[]", "'{1,null}'", "'{{1,2},{3,4}}'", "[1, null]", "[[1, 2], [3, 4]]"),
    ("text[]", "'{}'", """'{"a,b",null,"NULL"}'""", "[]", '["a,b", null, "NULL"]'),
    ("timestamptz[]", "'{2026-03-01 05:45+05:45}'", "'{}'", '["2026-03-01T00:00:00+00:00"]', "[]"),
    ("bytea[]", r"array['\x00'::bytea]", "'{}'", r'["\\x00"]', "[]"),
    (
        "double precision[]",
        "array[0.1::float8 + 0.2]",
        "'{NaN}'",
        "[0.30000000000000004]",
        '["NaN"]',
    ),
    ("interval[]", "'{1 day}'", "'{24 hours}'", '["1 day"]', '["24:00:00"]'),
    ("json[]", r"""array['"\u0000"'::json]""", "'{}'", r'["\"\\u0000\""]', "[]"),
    ("kinds.mood[]", "'{sad}'", "'{Happy,so-so}'", '["sad"]', '["Happy", "so-so"]'),
]
RANGES = [
    ("int4range", "'[1,5]'", "'empty'", "[1,6)", "empty"),
    ("numrange", "'[1.0,2)'", "'[1.00,2)'", "[1.0,2)", "[1.00,2)"),
    ("daterange", "'[2026-03-01,2026-03-02]'", "'(,)'", "[2026-03-01,2026-03-03)", "(,)"),
    ("tstzrange", "'[2026-03-01 05:45+05:45,)'", "'empty'", '["2026-03-01 00:00:00+00",)', "empty"),
    ("int4multirange", "'{[1,3),[7,8)}'", "'{}'", "{[1,3),[7,8)}", "{}"),
    (
        "tstzmultirange",
        "'{[2026-03-01 05:45+05:45,)}'",
        "'{}'",
        '{["2026-03-01 00:00:00+00",)}',
        "{}",
    ),
]
OWN = [
    ("kinds.mood", "'sad'", "'Happy'", "sad", "Happy"),
    ("kinds.positive", "1", "2", "1", "2"),
    ("kinds.small", "1", "2", "1", "2"),
    (
        "kinds.moment",
        "'2026-03-01 05:45+05:45'",
        "'infinity'",
        "2026-03-01T00:00:00+00:00",
        "infinity",
    ),
    ("kinds.raw", r"'\x00'", r"'\x01'", r"\x00", r"\x01"),
    ("kinds.document", r"""'"\u0000"'""", "'1'", r'"\u0000"', "1"),
    ("kinds.numbers", "'{1,2}'", "'{}'", "[1, 2]", "[]"),
    ("kinds.moments", "'{2026-03-01 05:45+05:45}'", "'{}'", '["2026-03-01T00:00:00+00:00"]', "[]"),
    ("kinds.small[]", "'{1,2}'", "'{3}'", "[1, 2]", "[3]"),
    (
        "kinds.pair",
        "row(1, '2026-03-01 05:45+05:45')",
        "row(null, null)",
        '(1,"2026-03-01 00:00:00+00")',
        "(,)",
    ),
    ("kinds.pair[]", "array[row(1, null)::kinds.pair]", "'{}'", '["(1,)"]', "[]"),
]
CASES = NUMBERS + TEXTS + TIMES + ARRAYS + RANGES + OWN


def run(conn: psycopg.Connection, text: str, *pieces: str) -> None:
    """Run SQL with each `{}` in it replaced by the next piece of SQL."""
    conn.execute(sql.SQL(text).format(*(sql.SQL(piece) for piece in pieces)))


def shown(conn: psycopg.Connection, log_id: int, column: str = "v") -> Sequence[str | None]:
    """Return the old and the new value of a column, as text that loses nothing."""
    found = conn.execute(
        "select changes -> %(column)s #>> '{old}', changes -> %(column)s #>> '{new}'"
        " from audit.events where id = %(id)s",
        {"column": column, "id": log_id},
    ).fetchone()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "first", "second", "first_text", "second_text"),
    CASES,
    ids=[f"{case[0]} {case[1]}" for case in CASES],
)
def test_every_type_is_shown_as_it_is(
    connection: psycopg.Connection,
    kind: str,
    first: str,
    second: str,
    first_text: str,
    second_text: str,
) -> None:
    run(connection, SETUP)
    run(connection, "create table kinds.thing (id integer primary key, v {})", kind)
    connection.execute("select audit.track('kinds.thing')")
    with recorded(connection) as log:
        run(connection, WRITER)
        run(connection, "insert into kinds.thing values (1, {})", first)
        run(connection, "update kinds.thing set v = v")
        run(connection, "update kinds.thing set v = {}", first)
        run(connection, "update kinds.thing set v = {}", second)
        run(connection, "update kinds.thing set v = null")
        run(connection, "update kinds.thing set v = {}", first)
        run(connection, "delete from kinds.thing")
        run(connection, "reset datestyle")
    assert [(row.action, *shown(connection, row.id)) for row in log] == [
        ("thing_created", None, first_text),
        ("thing_updated", first_text, second_text),
        ("thing_updated", second_text, None),
        ("thing_updated", None, first_text),
        ("thing_deleted", first_text, None),
    ]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("integer[]", "'{1,2}'", "'[0:1]={1,2}'"),
        ("kinds.box", "row(1.1, null)", "row(1.10, null)"),
        ("kinds.box", r"""row(1, '"\u0000"')""", "row(1, '1')"),
        ("kinds.document[]", r"""array['"\u0000"'::kinds.document]""", "'{}'"),
    ],
)
def test_a_type_that_json_knows_nothing_of_breaks_no_write(
    connection: psycopg.Connection, kind: str, first: str, second: str
) -> None:
    run(connection, SETUP)
    run(connection, "create type kinds.box as (n numeric, j json)")
    run(connection, "create table kinds.thing (id integer primary key, v {})", kind)
    connection.execute("select audit.track('kinds.thing')")
    with recorded(connection) as log:
        run(connection, "insert into kinds.thing values (1, {})", first)
        run(connection, "update kinds.thing set v = {}", second)
        run(connection, "update kinds.thing set v = v")
        run(connection, "delete from kinds.thing")
    assert [row.action for row in log] == ["thing_created", "thing_updated", "thing_deleted"]
    old, new = shown(connection, log[1].id)
    assert old != new


@pytest.mark.parametrize(
    ("extension", "kind", "first", "second"),
    [
        ("citext", "citext", "Ana", "ana"),
        ("hstore", "hstore", '"a"=>"1"', '"a"=>NULL'),
        ("ltree", "ltree", "Top.Science", "Top"),
        ("cube", "cube", "(1, 2)", "(1, 3)"),
    ],
)
def test_types_of_extensions_in_a_schema_of_their_own(
    connection: psycopg.Connection, extension: str, kind: str, first: str, second: str
) -> None:
    known = "select exists (select from pg_available_extensions where name = %s)"
    if not value(connection, known, extension):
        pytest.skip(f"this server lacks the extension {extension}")
    run(connection, "create schema ext; create schema kinds")
    run(connection, "create extension {} schema ext", extension)
    run(connection, "create table kinds.thing (id integer primary key, v ext.{})", kind)
    connection.execute("select audit.track('kinds.thing', item_label => 'v')")
    with recorded(connection) as log:
        connection.execute("insert into kinds.thing values (1, %s)", [first])
        connection.execute("update kinds.thing set v = v")
        connection.execute("update kinds.thing set v = %s", [second])
        connection.execute("delete from kinds.thing")
    assert [row.action for row in log] == ["thing_created", "thing_updated", "thing_deleted"]
    assert log[1].changes is not None
    assert log[1].changes["v"]["old"] != log[1].changes["v"]["new"]
    assert [row.item_label for row in log] == [first, second, second]


def test_a_collation_that_ignores_case_hides_no_change(connection: psycopg.Connection) -> None:
    if not value(
        connection, "select exists (select from pg_collation where collname = 'und-x-icu')"
    ):
        pytest.skip("this server was built without ICU")
    run(
        connection,
        "create collation loose"
        " (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    run(connection, "create table thing (id integer primary key, v text collate loose)")
    connection.execute("select audit.track('thing')")
    connection.execute("insert into thing values (1, 'Ana')")
    with recorded(connection) as log:
        connection.execute("update thing set v = 'ANA'")
        connection.execute("update thing set v = v")
    assert [row.changes for row in log] == [{"v": {"old": "Ana", "new": "ANA"}}]


def test_an_enum_that_grows_needs_nothing(connection: psycopg.Connection) -> None:
    connection.rollback()
    run(connection, "create type level as enum ('low')")
    run(connection, "create table thing (id integer primary key, v level)")
    connection.execute("select audit.track('thing')")
    connection.execute("insert into thing values (1, 'low')")
    run(connection, "alter type level rename value 'low' to 'lower'")
    with recorded(connection) as log:
        connection.execute("update thing set v = null")
    assert [row.changes for row in log] == [{"v": {"old": "lower", "new": None}}]


def test_values_of_megabytes_are_logged_whole(connection: psycopg.Connection) -> None:
    run(connection, "create table thing (id integer primary key, body text, raw bytea, note text)")
    connection.execute("select audit.track('thing')")
    body, raw = "ñ" * 3_000_000, bytes(range(256)) * 5_000
    with recorded(connection) as log:
        connection.execute("insert into thing values (1, %s, %s, 'a')", [body, raw])
        connection.execute("update thing set note = 'b'")
        connection.execute("update thing set body = body || '!'")
        connection.execute("delete from thing")
    created, noted, changed, deleted = (row.changes for row in log)
    assert created == {
        "id": {"new": 1},
        "body": {"new": body},
        "raw": {"new": "\\x" + raw.hex()},
        "note": {"new": "a"},
    }
    assert noted == {"note": {"old": "a", "new": "b"}}
    assert changed == {"body": {"old": body, "new": body + "!"}}
    assert deleted is not None
    assert deleted["raw"] == {"old": "\\x" + raw.hex()}


@pytest.mark.parametrize("width", [49, 51, 101, 205, 1000])
def test_a_table_of_any_width(connection: psycopg.Connection, width: int) -> None:
    names = [f"c{number}" for number in range(width)]
    run(connection, "create table wide (id integer primary key, {} int)", " int, ".join(names))
    connection.execute("select audit.track('wide')")
    with recorded(connection) as log:
        numbers = ", ".join(str(number) for number in range(width))
        run(connection, "insert into wide values (1, {})", numbers)
        run(connection, "update wide set {}", ", ".join(f"{name} = {name} + 1" for name in names))
        connection.execute("delete from wide")
    created, changed, deleted = (row.changes for row in log)
    columns = list(enumerate(names))
    assert created == {"id": {"new": 1}} | {name: {"new": n} for n, name in columns}
    assert changed == {name: {"old": n, "new": n + 1} for n, name in columns}
    assert deleted == {"id": {"old": 1}} | {name: {"old": n + 1} for n, name in columns}


def test_identity_and_stored_generated_columns_are_audited(connection: psycopg.Connection) -> None:
    run(
        connection,
        "create table thing (id bigint generated always as identity primary key, n integer,"
        " twice integer generated always as (n * 2) stored, s serial)",
    )
    connection.execute("select audit.track('thing')")
    with recorded(connection) as log:
        connection.execute("insert into thing (n) values (1)")
        connection.execute("update thing set n = 2")
        connection.execute("delete from thing")
    assert [(row.item_id, row.changes) for row in log] == [
        ("1", {"id": {"new": 1}, "n": {"new": 1}, "twice": {"new": 2}, "s": {"new": 1}}),
        ("1", {"n": {"old": 1, "new": 2}, "twice": {"old": 2, "new": 4}}),
        ("1", {"id": {"old": 1}, "n": {"old": 2}, "twice": {"old": 4}, "s": {"old": 1}}),
    ]


def test_virtual_generated_columns_break_nothing(connection: psycopg.Connection) -> None:
    if connection.info.server_version < 180000:
        pytest.skip("virtual generated columns are new in PostgreSQL 18")
    run(
        connection,
        "create table thing (id integer primary key, n integer,"
        " twice integer generated always as (n * 2) virtual, m integer)",
    )
    connection.execute("select audit.track('thing')")
    with recorded(connection) as log:
        connection.execute("insert into thing (id, n) values (1, 1)")
        connection.execute("update thing set n = 2")
        connection.execute("delete from thing")
    assert [row.changes for row in log] == [
        {"id": {"new": 1}, "n": {"new": 1}, "m": {"new": None}},
        {"n": {"old": 1, "new": 2}},
        {"id": {"old": 1}, "n": {"old": 2}, "m": {"old": None}},
    ]


def test_null_and_an_empty_value_are_told_apart(connection: psycopg.Connection) -> None:
    run(connection, "create table thing (id integer primary key, j jsonb, t text)")
    connection.execute("select audit.track('thing')")
    connection.execute("insert into thing values (1, null, null)")
    with recorded(connection) as log:
        connection.execute("update thing set t = ''")
        connection.execute("update thing set t = null")
        connection.execute("update thing set j = 'null'")
    assert [row.changes for row in log[:2]] == [
        {"t": {"old": None, "new": ""}},
        {"t": {"old": "", "new": None}},
    ]
    # SQL null and JSON null are the same in JSON, yet a change from one to the other is one.
    assert [row.changes for row in log[2:]] == [{"j": {"old": None, "new": None}}]
