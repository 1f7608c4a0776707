"""Keys replaced in several statements, types renamed, parents dropped: what migrations do."""

import psycopg
import pytest

from tests.support.helpers import recorded, value

SETUP = """
create schema s;
create schema other;
create type s.mood as enum ('a', 'b');
create domain s.pos as int;
create type s.pair as (a int, b text);
create table s.parent (id int primary key, name text);
create table s.child (id int primary key, parent int
  constraint child_parent references s.parent on delete cascade,
  m s.mood, p s.pos, c s.pair, ms s.mood[], v int);
insert into s.parent values (1, 'P');
insert into s.child values (1, 1, 'a', 1, row(1, 'x'), '{a}', 0);
select audit.track('s.child', lookups => '{"q": "parent"}', item_label => 'q.name');
update s.child set v = 1;
"""
WRITE = "update s.child set v = v + 1"


@pytest.fixture
def tables(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute(SETUP)
    return connection


def written(conn: psycopg.Connection) -> list[tuple[str, str, str | None]]:
    """Return what an UPDATE of the child leaves in the log."""
    with recorded(conn) as log:
        conn.execute(WRITE)
    return [(row.action, row.item_id, row.item_label) for row in log]


def test_a_primary_key_replaced_in_two_statements(tables: psycopg.Connection) -> None:
    tables.execute("alter table s.child drop constraint child_pkey")
    assert written(tables) == [("child_updated", "1", "P")]
    tables.execute("alter table s.child add n bigint generated always as identity (start 70)")
    assert written(tables) == [("child_updated", "1", "P")]
    tables.execute("alter table s.child add primary key (n)")
    assert written(tables) == [("child_updated", "70", "P")]
    assert value(tables, "select count(*) from audit.refresh()") == 0


def test_a_primary_key_whose_column_is_dropped(tables: psycopg.Connection) -> None:
    tables.execute("alter table s.child drop column id")
    with pytest.raises(psycopg.Error) as refused, tables.transaction():
        tables.execute(WRITE)
    assert refused.value.diag.message_hint == "Run: alter table s.child add primary key (...);"
    tables.execute("alter table s.child add id bigint primary key default 5")
    assert written(tables) == [("child_updated", "5", "P")]


def test_the_key_of_a_lookup_dropped_and_made_again(tables: psycopg.Connection) -> None:
    tables.execute("alter table s.child drop constraint child_parent")
    assert written(tables) == [("child_updated", "1", "P")]
    tables.execute("alter table s.child add extra int")
    assert written(tables) == [("child_updated", "1", "P")]
    tables.execute(
        "alter table s.parent alter id type bigint; alter table s.child alter parent type bigint"
    )
    tables.execute("alter table s.child add foreign key (parent) references s.parent")
    assert written(tables) == [("child_updated", "1", "P")]


def test_a_key_dropped_where_no_event_trigger_follows(tables: psycopg.Connection) -> None:
    without_event_triggers(tables)
    tables.execute("alter table s.child drop constraint child_pkey")
    assert written(tables) == [("child_updated", "1", "P")]


def without_event_triggers(conn: psycopg.Connection) -> None:
    conn.execute("drop event trigger audit_before_ddl; drop event trigger audit_after_ddl")
    conn.execute("drop event trigger audit_after_drop; select audit.refresh()")


@pytest.mark.parametrize(
    "statement",
    [
        "alter type s.mood rename to mood2",
        "alter type s.mood set schema other",
        "alter domain s.pos rename to pos2",
        "alter domain s.pos set schema other",
        "alter type s.pair rename to pair2",
        "alter type s.pair set schema other",
        "alter schema s rename to s2; alter schema s2 rename to s",
        "alter type s.mood add value 'c'",
        "alter type s.pair add attribute z int",
    ],
)
def test_types_that_are_renamed(tables: psycopg.Connection, statement: str) -> None:
    tables.execute(statement.encode())
    assert written(tables) == [("child_updated", "1", "P")]
    with recorded(tables) as log:
        tables.execute("delete from s.child")
    assert [row.action for row in log] == ["child_deleted"]


def test_an_extension_that_moves(tables: psycopg.Connection) -> None:
    tables.execute("create extension citext schema s; alter table s.child add t s.citext")
    tables.execute("alter extension citext set schema other")
    assert written(tables) == [("child_updated", "1", "P")]


@pytest.mark.parametrize(
    "statement", ["drop table s.parent cascade", "alter table s.child drop column parent"]
)
def test_a_lookup_that_leads_nowhere_leaves_the_declaration(
    tables: psycopg.Connection, statement: str
) -> None:
    tables.execute(statement.encode())
    assert written(tables) == [("child_updated", "1", None)]
    query = "select lookups from audit.tracked where target = 's.child'::regclass"
    assert value(tables, query) == {}


def test_a_declaration_that_needs_a_foreign_key_names_it(tables: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error, match="no foreign key to follow") as refused:
        tables.execute("select audit.track('s.child', lookups => '{\"q\": \"v\"}')")
    hint = "alter table s.child add foreign key (v) references ...;"
    assert refused.value.diag.message_hint == hint


@pytest.mark.parametrize("has_event_triggers", [True, False])
def test_a_cascade_that_comes_later(tables: psycopg.Connection, has_event_triggers: bool) -> None:
    tables.execute("create table s.late (id int primary key, parent int)")
    tables.execute("insert into s.late values (1, 1), (2, null); select audit.track('s.late')")
    if not has_event_triggers:
        without_event_triggers(tables)
    tables.execute("delete from s.late where id = 2")
    tables.execute(
        "alter table s.late add foreign key (parent) references s.parent on delete cascade"
    )
    if not has_event_triggers:
        with pytest.raises(psycopg.Error) as refused, tables.transaction():
            tables.execute("delete from s.parent")
        assert refused.value.diag.message_hint == "Run: select audit.refresh('s.late');"
        tables.execute("select audit.refresh('s.late')")
    with recorded(tables) as log:
        tables.execute("delete from s.parent")
    assert ("late_deleted", True) in [(row.action, row.is_cascade) for row in log]


def test_a_key_that_is_not_enforced_deletes_nothing(tables: psycopg.Connection) -> None:
    if tables.info.server_version < 180000:
        pytest.skip("NOT ENFORCED came with PostgreSQL 18")
    tables.execute(
        "create table s.loose (id int primary key, parent int"
        " references s.parent on delete cascade not enforced);"
        "insert into s.loose values (1, 1); select audit.track('s.loose')"
    )
    with recorded(tables) as log:
        tables.execute("delete from s.parent")
        tables.execute("delete from s.loose")
    loose = [row.is_cascade for row in log if row.action == "loose_deleted"]
    assert loose == [False]


def test_a_row_that_is_its_own_parent_goes_by_itself(tables: psycopg.Connection) -> None:
    tables.execute(
        "create table s.node (id int primary key, up int references s.node on delete cascade);"
        "insert into s.node values (1, 1), (2, 1), (3, 3); select audit.track('s.node')"
    )
    with recorded(tables) as log:
        tables.execute("delete from s.node where id = 1")
        tables.execute("delete from s.node where id = 3")
    cascades = {row.item_id: row.is_cascade for row in log}
    assert cascades == {"1": False, "2": True, "3": False}


NAMES = ["t", "T", "we ird", 'qu"ote', "ünï"]
WAYS = {
    "as it is": "alter table {quoted} {change}",
    "escaped": "alter table public . {escaped} {change}",
    "in a block": "do $d$ begin alter table {quoted} {change}; end $d$",
    "in a function": "create function m() returns void language plpgsql as"
    " $d$ begin alter table {quoted} {change}; end $d$; select m()",
    "in an SQL function": "create function m() returns void language sql as"
    " $d$ alter table {quoted} {change} $d$; select m()",
    "put together": "create function m(a text, b text) returns void language plpgsql as"
    " $d$ begin execute 'alter table ' || quote_ident(a || b) || ' {change}'; end $d$;"
    " select m('{first}', '{rest}')",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", ["alter v type bigint", "drop column w"])
def test_columns_are_altered_however_it_is_written(
    connection: psycopg.Connection, name: str, change: str, way: str
) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    escaped = 'U&"' + "".join(f"\\{ord(c):04x}" for c in name) + '"'
    connection.execute(
        f"create table {quoted} (id int primary key, v int, w int);"
        f"insert into {quoted} values (1, 1, 1);"
        f"select audit.track('{quoted}')".encode()
    )
    parts = {"first": name[:1], "rest": name[1:]}
    statement = WAYS[way].format(quoted=quoted, escaped=escaped, change=change, **parts)
    for one in statement.split("$d$; "):
        connection.execute((one + ("$d$" if one.count("$d$") % 2 else "")).encode())
    with recorded(connection) as log:
        connection.execute(f"update {quoted} set v = 2".encode())
    assert [row.changes for row in log] == [{"v": {"old": 1, "new": 2}}]
    triggers = "select count(*) from pg_trigger where tgname = '_audit_update' and tgattr <> ''"
    assert value(connection, triggers + f" and tgrelid = '{quoted}'::regclass") == 1
