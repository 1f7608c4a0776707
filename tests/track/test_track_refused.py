"""What audit.track() refuses: relations that cannot be tracked, and declarations that are wrong."""

import psycopg
import pytest
from psycopg import sql

from tests.support.helpers import value

# Relations that cannot be tracked: how they come to be, their name, the reason, the way out.
RELATIONS = [
    ("create table s.x (id int)", "s.x", "it has no primary key", r"add primary key \(\.\.\.\)"),
    ("create table s.x (id int unique)", "s.x", "no primary key", "alter table s.x"),
    ("create view s.x as select 1 as id", "s.x", "it is a view", "tables that it reads"),
    ("create materialized view s.x as select 1 as id", "s.x", "view", "tables that it reads"),
    ("create temporary table x (id int primary key)", "pg_temp.x", "temporary", "permanent table"),
    (
        (
            "create table s.r (id int primary key) partition by list (id);"
            "create table s.x partition of s.r default"
        ),
        "s.x",
        "it is a partition",
        r"s\.r",
    ),
    (
        (
            "create table s.r (id int, n int, primary key (id, n)) partition by list (id);"
            "create table s.m partition of s.r default partition by list (n);"
            "create table s.x partition of s.m default"
        ),
        "s.m",
        "it is a partition",
        r"s\.r",
    ),
    (
        "create table s.x (id int primary key); create table s.y () inherits (s.x)",
        "s.x",
        "inherit",
        "declarative partitioning",
    ),
    (
        "create table s.y (id int); create table s.x (primary key (id)) inherits (s.y)",
        "s.x",
        "inherit",
        "declarative partitioning",
    ),
    ("create sequence s.x", "s.x", "it is not a table", "Name a table"),
    ("create table s.t (id int primary key)", "s.t_pkey", "it is not a table", "Name a table"),
    ("create type s.x as (id int)", "s.x", "it is not a table", "Name a table"),
    ("select 1", "audit.log", "it belongs to the audit log", "your application"),
    ("select 1", "audit.tracked", "it belongs to the audit log", "your application"),
    ("select 1", "audit.action", "it belongs to the audit log", "your application"),
    ("select 1", "audit.events", "it belongs to the audit log", "your application"),
    ("select 1", "pg_catalog.pg_class", "it belongs to PostgreSQL", "your application"),
    ("select 1", "information_schema.tables", "it belongs to PostgreSQL", "your application"),
]

# Arguments of audit.track() for s.thing, as SQL, and what the error says is wrong with them.
DECLARATIONS = [
    ("operational => '{nothing}'", "there is no column nothing"),
    ("secret => '{nothing}'", "there is no column nothing"),
    ("operational => '{N}'", 'there is no column "N"'),
    ("operational => '{ctid}'", "there is no column ctid"),
    ("operational => array[null]", "there is no column"),
    ("item_id => 'nothing'", 'column "nothing" does not exist'),
    ("item_label => 'nothing'", 'column "nothing" does not exist'),
    ("item_label => 'parent.name'", "parent"),
    ("account => 'nothing'", 'column "nothing" does not exist'),
    ("accounts => 'select nothing'", 'column "nothing" does not exist'),
    ("accounts => 'select 1, 2'", "one column"),
    ("accounts => 'nonsense'", "syntax error"),
    ("account => 'n', accounts => 'select 1'", "account or accounts, not both"),
    ("parent_type => 'x'", "there is a parent_type and no parent_id"),
    ("parent_id => 'n'", "there is a parent_id and no parent_type"),
    ("parent_type => 'x', parent_id => 'nothing'", 'column "nothing" does not exist'),
    ("part_name => 'n'", "there is a part_name and no part"),
    ("item_type => repeat('x', 101)", "item_type is longer than 100 characters"),
    ("parent_type => repeat('x', 101), parent_id => 'n'", "parent_type is longer than 100"),
    ("actions => jsonb_build_array(jsonb_build_object('action', repeat('x', 256)))", "255"),
    ("part => 'x', part_name => 'nothing'", 'column "nothing" does not exist'),
    ("item_label => 'n +'", "syntax error"),
    ("item_label => 'n) from s.thing --'", ""),
    ("item_label => 'count(*)'", "aggregate"),
    ("item_label => 'nonsense(n)'", "function"),
    ("item_label => ''", "syntax error"),
    ('lookups => \'{"p": "nothing"}\'', "the lookup p has no foreign key"),
    ('lookups => \'{"p": "n"}\'', "the lookup p has no foreign key"),
    ("lookups => '{\"p\": \"parent_id\"}', item_label => 'p.nothing'", "nothing does not exist"),
    ('lookups => \'{"p": "q.parent_id"}\'', "the lookup p has no foreign key"),
    ("lookups => '{\"new\": \"parent_id\"}', item_label => 'new.name'", "new"),
    ("lookups => '[]'", "lookups"),
    ("lookups => '{\"p\": 1}'", "lookup"),
    ("on_truncate => 'nothing'", "on_truncate is log or refuse, not nothing"),
    ("actions => '{}'", "actions is an array, not of type object"),
    ("actions => '[1]'", "an action is a JSON object"),
    ("actions => '[{}]'", "an action needs a name"),
    ('actions => \'[{"action": "", "on": "insert"}]\'', "an action needs a name"),
    ('actions => \'[{"action": "a"}]\'', 'action a: "on" is insert, update, delete'),
    ('actions => \'[{"action": "a", "on": []}]\'', 'action a: "on" is insert'),
    ('actions => \'[{"action": "a", "on": "truncate"}]\'', 'action a: "on" is insert'),
    ('actions => \'[{"action": "a", "on": {"x": 1}}]\'', 'action a: "on" is insert'),
    ('actions => \'[{"action": "a", "on": ["insert", 1]}]\'', 'action a: "on" is insert'),
    ('actions => \'[{"action": "a", "on": "insert", "then": 1}]\'', "unknown key"),
]
RULES = [
    ('"columns": ["nothing"]', "audited columns of the table"),
    ('"columns": ["seen"]', "audited columns of the table"),
    ('"columns": "n"', "audited columns of the table"),
    ('"columns": [null]', "audited columns of the table"),
    ('"columns": []', "audited columns of the table"),
    ('"columns": [1]', "audited columns of the table"),
    ('"when": "old.nothing > 1"', "nothing does not exist"),
    ('"when": "n > 1"', "ambiguous"),
    ('"when": "old.n >"', "syntax error"),
    ('"when": "old.n"', "boolean"),
    ('"when": "\'x\'"', "boolean"),
    ('"when": "true) or (true"', "syntax error"),
    ('"when": "count(old.n) > 1"', "aggregate"),
    ('"when": 5', "boolean"),
    ('"grouped": 5', "grouped"),
    ('"grouped": "yes"', "grouped"),
]


def left_behind(conn: psycopg.Connection) -> list[object]:
    """Return what a declaration may leave: rows, functions, triggers and actions."""
    return [
        value(conn, query)
        for query in (
            "select coalesce(max(id), 0) from audit.log",
            "select count(*) from audit.tracked",
            "select count(*) from audit.action",
            "select count(*) from pg_proc where pronamespace = 'audit'::regnamespace",
            "select count(*) from pg_trigger",
        )
    ]


@pytest.mark.parametrize(("setup", "name", "reason", "way_out"), RELATIONS)
def test_a_relation_that_cannot_be_tracked_is_refused(
    connection: psycopg.Connection, setup: str, name: str, reason: str, way_out: str
) -> None:
    connection.execute("create schema s")
    connection.execute(sql.SQL(setup))
    before = left_behind(connection)
    with pytest.raises(psycopg.Error, match=reason) as refused, connection.transaction():
        connection.execute("select audit.track(%s)", [name])
    assert refused.value.sqlstate == "UA001"
    assert refused.value.diag.message_primary is not None
    assert refused.value.diag.message_primary.startswith("cannot track ")
    assert name.split(".")[1] in refused.value.diag.message_primary
    with pytest.raises(psycopg.Error, match=way_out), connection.transaction():
        connection.execute("select audit.track(%s)", [name])
    assert left_behind(connection) == before


@pytest.mark.parametrize("wrapper", ["file_fdw", "postgres_fdw"])
def test_a_foreign_table_is_refused(connection: psycopg.Connection, wrapper: str) -> None:
    connection.execute("create schema s")
    connection.execute(sql.SQL("create extension {}").format(sql.Identifier(wrapper)))
    connection.execute(
        sql.SQL("create server away foreign data wrapper {}").format(sql.Identifier(wrapper))
    )
    options = "options (filename '/dev/null')" if wrapper == "file_fdw" else ""
    connection.execute(
        sql.SQL("create foreign table s.x (id int) server away {}").format(sql.SQL(options))
    )
    connection.execute("create table s.r (id int, n int) partition by list (id)")
    connection.execute(
        sql.SQL("create foreign table s.y partition of s.r default server away {}").format(
            sql.SQL(options)
        )
    )
    for name, reason in (
        ("s.x", "it is a foreign table"),
        ("s.r", "partitions is a foreign table"),
    ):
        with pytest.raises(psycopg.Error, match=reason) as refused, connection.transaction():
            connection.execute("select audit.track(%s)", [name])
        assert refused.value.sqlstate == "UA001"
        assert refused.value.diag.message_hint


def test_a_table_that_is_not_there_is_named(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable, match=r"public\.nothing"):
        connection.execute("select audit.track('public.nothing')")
    connection.rollback()
    with pytest.raises(psycopg.Error, match="table") as refused:
        connection.execute("select audit.track(null)")
    assert refused.value.sqlstate == "UA001"


def create_thing(conn: psycopg.Connection) -> None:
    conn.execute(
        "create schema s; create table s.parent (id int primary key, name text);"
        "create table s.thing (id int primary key, n int, seen int,"
        " parent_id int references s.parent)"
    )


RULE = """operational => '{{seen}}', actions => $$[{{"action": "a", "on": "update", {}}}]$$"""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    DECLARATIONS + [(RULE.format(rule), problem) for rule, problem in RULES],
)
def test_a_wrong_declaration_is_refused_and_leaves_nothing(
    connection: psycopg.Connection, arguments: str, problem: str
) -> None:
    create_thing(connection)
    before = left_behind(connection)
    with pytest.raises(psycopg.Error) as refused, connection.transaction():
        connection.execute(sql.SQL("select audit.track('s.thing', {})").format(sql.SQL(arguments)))
    message = refused.value.diag.message_primary or ""
    assert (refused.value.sqlstate, message) == ("UA005", message)
    assert message.startswith("invalid declaration of s.thing: ")
    assert problem in message
    assert left_behind(connection) == before


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ('"on": "insert", "when": "old.n > 1"', "old"),
        ('"on": "delete", "when": "new.n > 1"', "new"),
        ('"on": ["insert", "update"], "when": "old.n > 1"', "old"),
    ],
)
def test_a_condition_names_only_rows_that_its_event_has(
    connection: psycopg.Connection, rule: str, problem: str
) -> None:
    create_thing(connection)
    with pytest.raises(psycopg.Error, match=problem) as refused, connection.transaction():
        connection.execute(
            "select audit.track('s.thing', actions => %s)", [f'[{{"action": "a", {rule}}}]']
        )
    assert refused.value.sqlstate == "UA005"


def test_a_wrong_change_leaves_the_declaration_that_is(connection: psycopg.Connection) -> None:
    create_thing(connection)
    connection.execute("select audit.track('s.thing', item_label => 'n')")
    before = left_behind(connection)
    with pytest.raises(psycopg.Error), connection.transaction():
        connection.execute("select audit.track('s.thing', item_label => 'nothing')")
    assert left_behind(connection) == before
    connection.execute("insert into s.thing values (1, 7)")
    assert value(connection, "select item_label from audit.log order by id desc limit 1") == "7"


@pytest.mark.parametrize(
    "arguments",
    [
        "item_label => '1 / n'",
        "item_label => 'n::text::date'",
        "accounts => 'select 1 where 1 / new.n = 1'",
    ],
)
def test_an_expression_that_fails_on_a_value_fails_the_write_and_says_where(
    connection: psycopg.Connection, arguments: str
) -> None:
    create_thing(connection)
    connection.execute(sql.SQL("select audit.track('s.thing', {})").format(sql.SQL(arguments)))
    with pytest.raises(psycopg.DataError) as refused, connection.transaction():
        connection.execute("insert into s.thing values (1, 0)")
    assert "audit.s_thing_insert()" in (refused.value.diag.context or "")
    assert value(connection, "select count(*) from s.thing") == 0
