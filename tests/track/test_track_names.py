"""Any name will do: of a schema, a table, a column, an action, wherever a declaration has it."""

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.support.helpers import recorded, value
from tests.track.test_track import create, identifier, run, track

LONG = "é" * 31 + "x"  # 63 bytes
COLUMNS = [
    "new",
    "old",
    "action",
    "select",
    "two words",
    'quo"te',
    "it's",
    "per%cent %s %I",
    "back\\slash",
    "dol$lar $1 $$ $body$",
    "line\nbreak",
    "colon:name",
    "prénom",
    "имя",
    "UPPER",
    LONG,
]

# What the compiled functions themselves give names to.
TAKEN = ["changes", "found", "tg_op", "d", "g", "p", "r", "key", "value", "new_rows", "old_rows"]
TAKEN += ["account", "account_id", "item_id", "v_actor", "v_current", "v_departed", "v_moving"]
TAKEN += ["v_thing_updated", "v_actor_type", "v_context", "e1", "k", "f", "q", "here", "tx"]

TABLES = [
    ("public", "thing"),
    ("Sales Dept", 'Order "lines"'),
    ("per%cent", "it's"),
    ("schéma", "täble"),
    ("back\\slash", "dol$lar $$"),
    ("select", "new"),
    (LONG, LONG),
    ("x", "line\nbreak; -- comment"),
]


@pytest.mark.parametrize(("schema", "table"), TABLES)
def test_any_table_of_any_schema(connection: psycopg.Connection, schema: str, table: str) -> None:
    name = create(connection, schema, table, "id integer primary key, v text")
    assert track(connection, name) == "started"
    with recorded(connection) as log:
        run(connection, "insert into {} values (1, 'a'), (2, 'b')", name)
        run(connection, "update {} set v = v || '!' where id = 2", name)
        run(connection, "delete from {} where id = 1", name)
        run(connection, "truncate {}", name)
    quoted = value(connection, "select format('%%I.%%I', %s::text, %s::text)", schema, table)
    assert [(row.action, row.item_type, row.item_id) for row in log] == [
        (f"{table}_created", table, "1"),
        (f"{table}_created", table, "2"),
        (f"{table}_updated", table, "2"),
        (f"{table}_deleted", table, "1"),
        ("table_truncated", "table", quoted),
    ]
    assert log[2].changes == {"v": {"old": "b", "new": "b!"}}


def test_columns_of_any_name(connection: psycopg.Connection) -> None:
    columns = [sql.Identifier(column) for column in COLUMNS]
    name = create(connection, "odd", "thing", "id integer primary key")
    for column in columns:
        run(connection, "alter table {} add {} text", name, column)
    label = " || ".join(f"coalesce({column.as_string(connection)}, '')" for column in columns)
    options = sql.SQL(", item_label => {}").format(sql.Literal(label)).as_string(connection)
    track(connection, name, options)
    listed = sql.SQL(", ").join(columns)
    values = sql.SQL(", ").join(sql.Literal(f"v{number}") for number in range(len(COLUMNS)))
    with recorded(connection) as log:
        run(connection, "insert into {} (id, {}) values (1, {})", name, listed, values)
        for column in columns:
            run(connection, "update {} set {} = 'w'", name, column)
        run(connection, "update {} set {} = null", name, sql.SQL(" = null, ").join(columns))
        run(connection, "delete from {}", name)
    numbered = list(enumerate(COLUMNS))
    created, *updated, emptied, deleted = log
    assert created.changes == {"id": {"new": 1}} | {c: {"new": f"v{n}"} for n, c in numbered}
    assert created.item_label == "".join(f"v{number}" for number, _ in numbered)
    assert [row.changes for row in updated] == [
        {column: {"old": f"v{number}", "new": "w"}} for number, column in numbered
    ]
    assert emptied.changes == {column: {"old": "w", "new": None} for column in COLUMNS}
    assert deleted.changes == {"id": {"old": 1}} | {c: {"old": None} for c in COLUMNS}


@pytest.mark.parametrize("column", TAKEN)
@pytest.mark.parametrize("partition", ["", " partition by list (id)"])
def test_columns_named_as_something_in_the_compiled_functions(
    connection: psycopg.Connection, column: str, partition: str
) -> None:
    name = sql.Identifier(column)
    run(connection, "create schema s")
    run(connection, "create table s.parent (id int primary key, {} text)", name)
    run(connection, "insert into s.parent values (1, 'P')")
    run(
        connection,
        "create table s.thing (id int primary key, {} text, parent int references s.parent"
        f" on delete cascade){partition}",
        name,
    )
    if partition:
        run(connection, "create table s.thing_all partition of s.thing default")
    label = f"parent.{name.as_string(connection)} || {name.as_string(connection)}"
    options = sql.SQL(", item_label => {}, lookups => {}").format(label, '{"parent": "parent"}')
    track(connection, identifier("s", "thing"), options.as_string(connection))
    with recorded(connection) as log:
        run(connection, "insert into s.thing values (1, 'a', 1)")
        run(connection, "update s.thing set {} = 'b'", name)
        run(connection, "delete from s.parent")
    assert [(row.action, row.item_label, row.is_cascade) for row in log] == [
        ("thing_created", "Pa", False),
        ("thing_updated", "Pb", False),
        ("thing_deleted", "Pb", True),
    ]
    assert log[1].changes == {column: {"old": "a", "new": "b"}}


@pytest.mark.parametrize("partition", ["", " partition by list (id)"])
def test_actions_of_any_name(connection: psycopg.Connection, partition: str) -> None:
    names = ["actor", "actor_type", "context", "current", "moving", "departed", "item_id", "select"]
    names += ["line\nbreak", "it's $$ \\ %s", "é" * 40, "é" * 40 + "2"]
    run(
        connection,
        f"create schema s; create table s.thing (id int primary key, {{}}){partition}",
        sql.SQL(", ").join(sql.SQL(f"c{number} int") for number, _ in enumerate(names)),
    )
    if partition:
        run(connection, "create table s.thing_all partition of s.thing default")
    connection.execute(
        "select audit.track('s.thing', actions => %s)",
        [
            Jsonb(
                [{"action": "made", "on": "insert"}]
                + [
                    {"action": name, "on": "update", "columns": [f"c{number}"]}
                    for number, name in enumerate(names)
                ]
            )
        ],
    )
    run(connection, "insert into s.thing values (1)")
    with recorded(connection) as log:
        for number, _ in enumerate(names):
            run(connection, f"update s.thing set c{number} = {number}")
        columns = ", ".join(f"c{number} = -1" for number, _ in enumerate(names))
        run(connection, f"update s.thing set {columns}")
    assert [(row.action, row.changes) for row in log] == [
        (name, {f"c{number}": {"old": None, "new": number}}) for number, name in enumerate(names)
    ] + [(name, {f"c{number}": {"old": number, "new": -1}}) for number, name in enumerate(names)]


def test_names_in_every_place_of_a_declaration(connection: psycopg.Connection) -> None:
    name = create(
        connection,
        "odd",
        "thing",
        '"select" integer primary key, "new" text, "it\'s" text, "Tenant" text, "a""b" integer',
    )
    track(
        connection,
        name,
        """, item_type => 'it''s "so" \\ %s $1',
        item_id => '"select" + 100', item_label => $$'new: ' || "new" || ' \\n '$$,
        account => '"Tenant"', parent_type => 'o''parent', parent_id => '"a""b"',
        operational => '{new}', secret => $${it's}$$,
        actions => $$[
          {"action": "it's made", "on": "insert"},
          {"action": "bi\\"g", "on": "update", "columns": ["a\\"b"],
           "when": "new.\\"a\\"\\"b\\" > 9"},
          {"action": "moved", "on": "update"},
          {"action": "gone", "on": "delete", "when": "old.\\"new\\" <> 'it''s'"}
        ]$$""",
    )
    with recorded(connection) as log:
        run(connection, "insert into {} values (1, 'n', 's3cret', 't', 5)", name)
        run(connection, """update {} set "a""b" = 10, "Tenant" = 'u'""", name)
        run(connection, """update {} set "new" = 'quiet'""", name)
        run(connection, """update {} set "it's" = 's4cret'""", name)
        run(connection, """update {} set "a""b" = 1""", name)
        run(connection, "delete from {}", name)
    kind = 'it\'s "so" \\ %s $1'
    assert [(row.action, row.item_type, row.item_id, row.item_label) for row in log] == [
        ("it's made", kind, "101", "new: n \\n "),
        *[('bi"g', kind, "101", "new: n \\n ")] * 2,
        *[("moved", kind, "101", "new: n \\n ")] * 2,
        ("moved", kind, "101", "new: quiet \\n "),
        *[("moved", kind, "101", "new: quiet \\n ")] * 2,
        ("gone", kind, "101", "new: quiet \\n "),
    ]
    assert [(row.account_id, row.parent_type, row.parent_id) for row in log] == [
        ("t", "o'parent", "5"),
        # With the account and parent that lost it.
        *[("u", "o'parent", "10"), ("t", "o'parent", "5")] * 2,
        ("u", "o'parent", "10"),
        *[("u", "o'parent", "1"), ("u", "o'parent", "10")],
        ("u", "o'parent", "1"),
    ]
    assert log[5].changes == {"it's": {"redacted": True}}
    assert log[1].changes == {'a"b': {"old": 5, "new": 10}}
    assert log[3].changes == {"Tenant": {"old": "t", "new": "u"}}
