"""audit.track() serves any table of any schema, with any key, and says what it did."""

import psycopg
import pytest
from psycopg import sql

from tests.support.helpers import LogRow, new_log, newest, recorded, value

pytestmark = pytest.mark.quick


def identifier(schema: str, table: str) -> sql.Identifier:
    return sql.Identifier(schema, table)


def create(conn: psycopg.Connection, schema: str, table: str, columns: str) -> sql.Identifier:
    """Create a table, and its schema if need be; return its quoted name."""
    name = identifier(schema, table)
    conn.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
    conn.execute(sql.SQL("create table {} ({})").format(name, sql.SQL(columns)))
    return name


def track(conn: psycopg.Connection, name: sql.Identifier, options: str = "") -> str:
    """Track a table with more named arguments, as SQL; return what audit.track() returns."""
    call = sql.SQL("select audit.track({}{})").format(name.as_string(conn), sql.SQL(options))
    found = conn.execute(call).fetchone()
    assert found is not None
    return str(found[0])


def run(conn: psycopg.Connection, text: str, *names: sql.Composable) -> None:
    conn.execute(sql.SQL(text).format(*names))


def short(rows: list[LogRow]) -> list[tuple[str, str]]:
    return [(row.action, row.item) for row in rows]


@pytest.mark.parametrize(
    ("columns", "key", "item_id"),
    [
        ("id bigint primary key", "9007199254740993", "9007199254740993"),
        ("id text primary key", "'a/b ~ c'", "a/b ~ c"),
        ("id text primary key", "''", ""),
        (
            "id uuid primary key",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("id timestamptz primary key", "'2026-03-01 05:45+05:45'", "2026-03-01T00:00:00+00:00"),
        ("id bytea primary key", r"'\x00ff'", r"\x00ff"),
        ("id date primary key", "'2026-03-01'", "2026-03-01"),
        ("id numeric primary key", "1.10", "1.10"),
        ("id integer[] primary key", "'{1,2}'", "[1, 2]"),
        ("id int4range primary key", "'[1,2]'", "[1,3)"),
        ("a integer, b text, primary key (b, a)", "1, 'x'", "1/x"),
        ("a text, b text, primary key (a, b)", "'a/b', '~'", "a~1b/~0"),
        ("a integer, v integer, b text, primary key (a, v, b)", "1, 2, 'x'", "1/2/x"),
    ],
)
def test_any_primary_key(
    connection: psycopg.Connection, columns: str, key: str, item_id: str
) -> None:
    name = create(connection, "keys", "thing", f"{columns}, note text")
    track(connection, name)
    with recorded(connection) as log:
        run(connection, "insert into {} values ({}, 'a')", name, sql.SQL(key))
        run(connection, "update {} set note = 'b'", name)
        run(connection, "delete from {}", name)
    assert short(log) == [
        ("thing_created", f"thing:{item_id}"),
        ("thing_updated", f"thing:{item_id}"),
        ("thing_deleted", f"thing:{item_id}"),
    ]


def test_a_changed_key_is_a_change_of_what_it_is_and_of_what_it_was(
    connection: psycopg.Connection,
) -> None:
    name = create(connection, "keys", "thing", "a integer, b text, n integer, primary key (a, b)")
    track(connection, name)
    run(connection, "insert into {} values (1, 'x', 0), (2, 'x', 0)", name)
    with recorded(connection) as log:
        run(connection, "update {} set a = a + 10, n = 1", name)
        run(connection, "update {} set b = 'y' where a = 11", name)
    assert [(row.action, row.item_id, row.changes) for row in log] == [
        ("thing_updated", "11/x", {"a": {"old": 1, "new": 11}, "n": {"old": 0, "new": 1}}),
        ("thing_updated", "1/x", {"a": {"old": 1, "new": 11}, "n": {"old": 0, "new": 1}}),
        ("thing_updated", "12/x", {"a": {"old": 2, "new": 12}, "n": {"old": 0, "new": 1}}),
        ("thing_updated", "2/x", {"a": {"old": 2, "new": 12}, "n": {"old": 0, "new": 1}}),
        ("thing_updated", "11/y", {"b": {"old": "x", "new": "y"}}),
        ("thing_updated", "11/x", {"b": {"old": "x", "new": "y"}}),
    ]


def test_tables_whose_names_make_the_same_slug_stay_apart(connection: psycopg.Connection) -> None:
    pairs = [("a", "b_c"), ("a_b", "c"), ("a", "B C"), ("A", "b-c"), ("a", "b%c")]
    names = [create(connection, schema, table, "id int primary key") for schema, table in pairs]
    long_names = [
        create(connection, "s", "t" * 60 + end, "id int primary key") for end in ("a", "b", "c")
    ]
    for name in names + long_names:
        assert track(connection, name) == "started"
    with recorded(connection) as log:
        for number, name in enumerate(names + long_names):
            run(connection, f"insert into {{}} values ({number})", name)
            run(connection, f"update {{}} set id = {number} + 100", name)
            run(connection, "delete from {}", name)
    tables = [table for _, table in pairs] + ["t" * 60 + end for end in ("a", "b", "c")]
    assert short(log) == [
        row
        for number, table in enumerate(tables)
        for row in (
            (f"{table}_created", f"{table}:{number}"),
            (f"{table}_updated", f"{table}:{number + 100}"),
            (f"{table}_updated", f"{table}:{number}"),
            (f"{table}_deleted", f"{table}:{number + 100}"),
        )
    ]


def test_an_untracked_slug_is_free_for_the_next(connection: psycopg.Connection) -> None:
    first = create(connection, "a", "b_c", "id int primary key")
    second = create(connection, "a_b", "c", "id int primary key")
    track(connection, first)
    connection.execute("select audit.untrack('a.b_c')")
    track(connection, second)
    track(connection, first)
    with recorded(connection) as log:
        run(connection, "insert into {} values (1)", first)
        run(connection, "insert into {} values (2)", second)
    assert short(log) == [("b_c_created", "b_c:1"), ("c_created", "c:2")]


def test_tracking_twice_changes_nothing(connection: psycopg.Connection) -> None:
    name = create(connection, "s", "thing", "id int primary key, v text, s text")
    options = ", item_label => 'v', secret => '{s}', require_actor => true"
    assert track(connection, name, options) == "started"
    before = state_of(connection, "s.thing")
    with recorded(connection) as log:
        assert track(connection, name, options) == "unchanged"
    assert log == []
    assert state_of(connection, "s.thing") == before
    with recorded(connection) as log:
        assert track(connection, name, ", item_label => 'v'") == "changed"
    assert short(log) == [("tracking_changed", "table:s.thing")]


def state_of(conn: psycopg.Connection, table: str) -> list[tuple[object, ...]]:
    """Return the declaration of a table and the triggers on it, with the versions of both."""
    return conn.execute(
        "select oid, xmin::text, tgname from pg_trigger where tgrelid = %(table)s::regclass"
        " union all select 0, to_jsonb(k)::text, '' from audit.tracked as k"
        " where target = %(table)s::regclass"
        " union all select p.oid, p.xmin::text, p.proname from pg_proc as p join pg_trigger as g"
        " on g.tgfoid = p.oid where g.tgrelid = %(table)s::regclass order by 1, 2, 3",
        {"table": table},
    ).fetchall()


def test_untracking_ends_the_log_and_leaves_nothing_behind(connection: psycopg.Connection) -> None:
    before = state_of_schema(connection)
    name = create(connection, "s", "thing", "id int primary key")
    track(connection, name)
    run(connection, "insert into {} values (1)", name)
    assert value(connection, "select audit.untrack('s.thing')") == "stopped"
    with recorded(connection) as log:
        run(connection, "insert into {} values (2)", name)
        run(connection, "update {} set id = id + 10", name)
        run(connection, "truncate {}", name)
    assert log == []
    assert state_of(connection, "s.thing") == []
    assert state_of_schema(connection) == before
    assert value(connection, "select count(*) from audit.log where action = 'thing_created'") == 1


def test_untracking_what_is_not_tracked_changes_nothing(connection: psycopg.Connection) -> None:
    name = create(connection, "s", "thing", "id int primary key")
    create(connection, "s", "other", "id int primary key")
    run(connection, "create view {} as select 1 as id", sql.Identifier("s", "seen"))
    track(connection, name)
    before = state_of_schema(connection)
    with recorded(connection) as log:
        for relation in ("s.other", "s.seen", "pg_class", None):
            answer = value(connection, "select audit.untrack(%s::regclass)", relation)
            assert answer == "unchanged", relation
    assert log == []
    assert state_of_schema(connection) == before


def state_of_schema(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return the functions of schema audit and the declarations."""
    return conn.execute(
        "select proname::text from pg_proc where pronamespace = 'audit'::regnamespace"
        # Rows of the log are read by them, and stay.
        " and proname !~ '^layout_[0-9]+_'"
        " union all select slug from audit.tracked order by 1"
    ).fetchall()


@pytest.mark.parametrize("statement", ["insert", "update", "delete", "bulk", "upsert", "merge"])
def test_a_required_actor_is_demanded_of_every_write(
    connection: psycopg.Connection, statement: str
) -> None:
    statements = {
        "insert": "insert into s.thing values (9)",
        "update": "update s.thing set v = 'b' where id = 1",
        "delete": "delete from s.thing where id = 1",
        "bulk": "insert into s.thing select generate_series(10, 1000)",
        "upsert": "insert into s.thing values (1) on conflict (id) do update set v = 'c'",
        "merge": "merge into s.thing using (values (1)) as m (id) on m.id = thing.id"
        " when matched then delete",
    }
    name = create(connection, "s", "thing", "id int primary key, v text, seen int")
    run(connection, "insert into {} values (1, 'a', 0), (2, 'a', 0)", name)
    track(connection, name, ", require_actor => true, operational => '{seen}'")
    with (
        pytest.raises(psycopg.Error, match=r"a write to s\.thing needs an actor") as refused,
        connection.transaction(),
    ):
        connection.execute(statements[statement])
    assert refused.value.sqlstate == "UA002"
    assert "audit.set_actor(" in (refused.value.diag.message_hint or "")
    assert value(connection, "select count(*) from s.thing where v = 'a'") == 2
    connection.execute("select audit.set_actor('job', 'nightly')")
    with recorded(connection) as log:
        connection.execute(statements[statement])
    assert {row.actor for row in log} == {"job:nightly"}


def test_a_write_that_is_not_logged_needs_no_actor(connection: psycopg.Connection) -> None:
    name = create(connection, "s", "thing", "id int primary key, v text, seen int")
    run(connection, "insert into {} values (1, 'a', 0)", name)
    track(connection, name, ", require_actor => true, operational => '{seen}'")
    with recorded(connection) as log:
        run(connection, "update {} set seen = seen + 1", name)
        run(connection, "update {} set v = v", name)
        run(connection, "update {} set v = 'b' where id = 0", name)
        run(connection, "delete from {} where id = 0", name)
        run(connection, "insert into {} values (1) on conflict do nothing", name)
        run(connection, "insert into {} select 2 where false", name)
    assert log == []


def test_a_required_actor_holds_for_parts_logged_together(connection: psycopg.Connection) -> None:
    create(connection, "s", "thing", "id int primary key")
    name = create(
        connection,
        "s",
        "part",
        "thing_id int references s.thing, n int, v text, primary key (thing_id, n)",
    )
    run(connection, "insert into s.thing values (1)")
    track(
        connection,
        name,
        """, item_type => 'thing', item_id => 'thing_id', part => 'parts', part_name => 'n',
        require_actor => true, actions => '[{"action": "parts_set", "grouped": true,
        "on": ["insert", "update", "delete"]}]'""",
    )
    statements = ("insert into s.part values (1, 1, 'a')", "update s.part set v = 'b'")
    for statement in (*statements, "delete from s.part"):
        with pytest.raises(psycopg.Error) as refused, connection.transaction():
            connection.execute(statement)
        assert refused.value.sqlstate == "UA002"
        with recorded(connection) as log, connection.transaction():
            connection.execute("select audit.set_actor('job', 'nightly')")
            connection.execute(statement)
            connection.execute("select set_config('audit.actor', '', true)")
        assert short(log) == [("parts_set", "thing:1")]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("key", "name"), [("n", "7"), ("thing_id, n", "1,7")])
def test_a_part_without_a_declared_name_is_called_by_its_primary_key(
    connection: psycopg.Connection, key: str, name: str, grouped: bool
) -> None:
    table = create(connection, "s", "part", f"thing_id int, n int, v text, primary key ({key})")
    actions = """, actions => '[{"action": "parts_set", "grouped": true,
        "on": ["insert", "update", "delete"]}]'"""
    track(
        connection,
        table,
        ", item_type => 'thing', item_id => 'thing_id', part => 'parts'"
        + (actions if grouped else ""),
    )
    statements = (
        "insert into {} values (1, 7, 'a')",
        "update {} set v = 'b'",
        "alter table {} rename n to number",
        "update {} set v = 'c'",
        "delete from {}",
    )
    with recorded(connection) as log:
        for statement in statements:
            run(connection, statement, table)
    found = [row.changes or {} for row in log if row.item.startswith("thing:")]
    assert [changes[f"parts/{name}/v"] for changes in found] == [
        {"new": "a"},
        {"old": "a", "new": "b"},
        {"old": "b", "new": "c"},
        {"old": "c"},
    ]
    assert {path.split("/")[1] for changes in found for path in changes} == {name}


def test_truncate_is_refused_where_it_is_declared_so(connection: psycopg.Connection) -> None:
    parent = create(connection, "s", "parent", "id int primary key")
    name = create(connection, "s", "thing", "id int primary key references s.parent")
    run(connection, "insert into {} values (1)", parent)
    run(connection, "insert into {} values (1)", name)
    track(connection, name, ", on_truncate => 'refuse'")
    for statement in ("truncate s.thing", "truncate s.parent cascade"):
        with (
            pytest.raises(psycopg.Error, match=r"truncate of s\.thing refused") as refused,
            connection.transaction(),
        ):
            connection.execute(statement)
        assert refused.value.sqlstate == "UA007"
    assert value(connection, "select count(*) from s.thing") == 1
    track(connection, name, ", on_truncate => 'log'")
    track(connection, parent)
    with recorded(connection) as log:
        run(connection, "truncate s.parent cascade")
    assert sorted(short(log)) == [
        ("table_truncated", "table:s.parent"),
        ("table_truncated", "table:s.thing"),
    ]


def test_a_table_may_be_tracked_and_filled_in_one_transaction(
    connection: psycopg.Connection,
) -> None:
    mark = newest(connection)
    name = create(connection, "s", "thing", "id int primary key")
    track(connection, name)
    run(connection, "insert into {} values (1)", name)
    connection.execute("select audit.untrack('s.thing')")
    run(connection, "drop table {}", name)
    assert short(new_log(connection, mark)) == [
        ("tracking_started", "table:s.thing"),
        ("thing_created", "thing:1"),
        ("tracking_stopped", "table:s.thing"),
    ]


def test_lookups_lead_over_two_tables(connection: psycopg.Connection) -> None:
    create(connection, "s", "vendor", "id int primary key, name text")
    create(connection, "s", "shop", "id text primary key, vendor_id int references s.vendor")
    name = create(connection, "s", "sale", "id int primary key, shop text references s.shop")
    run(connection, "insert into s.vendor values (1, 'V1'), (2, 'V2')")
    run(connection, "insert into s.shop values ('a', 1), ('b', 2), ('c', null)")
    track(
        connection,
        name,
        """, item_label => $$vendor.name || ' at ' || shop.id$$, account => 'vendor.id',
        parent_type => 'shop', parent_id => 'shop.id',
        lookups => '{"shop": "shop", "vendor": "shop.vendor_id"}'""",
    )
    with recorded(connection) as log:
        run(connection, "insert into {} values (1, 'a'), (2, 'b'), (3, 'c'), (4, null)", name)
        run(connection, "update {} set shop = 'b' where id = 1", name)
        run(connection, "delete from {} where id = 2", name)
    assert [(row.item_id, row.item_label, row.account_id, row.parent) for row in log] == [
        ("1", "V1 at a", "1", "shop:a"),
        ("2", "V2 at b", "2", "shop:b"),
        ("3", None, "", "shop:c"),
        ("4", None, "", "shop:None"),
        ("1", "V2 at b", "2", "shop:b"),
        ("1", "V1 at a", "1", "shop:a"),
        ("2", "V2 at b", "2", "shop:b"),
    ]
