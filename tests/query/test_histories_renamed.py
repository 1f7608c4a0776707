"""Histories of columns that are renamed, swapped, dropped and added: generated, and one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import auditdb
from auditdb import NoValue
from tests.support.columns import Model, Moment
from tests.support.effort import sized
from tests.support.helpers import value

NAMES = ("a", "b", "c")
ITEMS = (1, 2)

KINDS = ("insert", "update", "update", "delete", "rename", "swap", "drop", "add", "back")
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=14
)
TABLES = {
    "plain": "create table shape (id int primary key, a int, b int)",
    "partitioned": (
        "create table shape (id int primary key, a int, b int) partition by range (id);"
        "create table shape_1 partition of shape for values from (0) to (2);"
        "create table shape_2 partition of shape for values from (2) to (9)"
    ),
}


@dataclass(slots=True)
class Run:
    """A table in the database, and the model of it that each step is also done to."""

    conn: psycopg.Connection
    model: Model

    def execute(self, statement: str) -> None:
        self.conn.execute(statement.encode())

    def step(self, kind: str, one: int, other: int) -> None:
        """Do what `kind` says, as far as it can be done now."""
        model = self.model
        item = ITEMS[one % len(ITEMS)]
        columns = [number for number in model.names if number != 1]
        number = columns[one % len(columns)] if columns else 0
        unused = [name for name in NAMES if name not in model.names.values()]
        if kind == "insert" and item not in model.rows:
            values = dict.fromkeys(columns, other)
            names = ", ".join(["id", *(model.names[n] for n in columns)])
            self.execute(
                f"insert into shape ({names}) values ({item}{f', {other}' * len(columns)})"
            )
            model.insert(item, {1: item, **values})
        elif kind == "update" and item in model.rows and number:
            self.execute(f"update shape set {model.names[number]} = {other} where id = {item}")
            model.update(item, number, other)
        elif kind == "delete" and item in model.rows:
            self.execute(f"delete from shape where id = {item}")
            model.delete(item)
        elif kind == "rename" and number and unused:
            self.rename(number, unused[other % len(unused)])
        elif kind == "swap" and len(columns) > 1:
            first, second = columns[0], columns[-1]
            was, became = model.names[first], model.names[second]
            self.rename(first, "spare")
            self.rename(second, was)
            self.rename(first, became)
        elif kind == "drop" and number:
            self.execute(f"alter table shape drop column {model.names[number]}")
            model.drop(number)
        elif kind == "add" and unused:
            name = unused[other % len(unused)]
            self.execute(f"alter table shape add column {name} int")
            model.add(name)
        elif kind == "back" and number and unused:
            was = model.names[number]
            self.rename(number, unused[0])
            self.rename(number, was)

    def rename(self, number: int, name: str) -> None:
        self.execute(f"alter table shape rename {self.model.names[number]} to {name}")
        self.model.rename(number, name)


@pytest.mark.parametrize("kind", TABLES)
@settings(max_examples=sized(12, 150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_histories_follow_columns(
    connection: psycopg.Connection, kind: str, steps: list[tuple[str, int, int]]
) -> None:
    connection.rollback()
    connection.execute(TABLES[kind].encode())
    connection.execute("select audit.track('shape')")
    run = Run(connection, Model({1: "id", 2: "a", 3: "b"}))
    moments: list[tuple[datetime, Moment]] = []
    for step in steps:
        run.step(*step)
        at: datetime = value(connection, "select clock_timestamp()")
        moments.append((at, run.model.moment()))
    check_histories(run)
    for at, then in moments:
        for item in ITEMS:
            check_state(run, item, at, then)
    connection.rollback()


def check_histories(run: Run) -> None:
    """Compare the history of each column of each item, as the helper and as the view has it."""
    names = run.model.names_now()
    for item in ITEMS:
        told = {n: run.model.entries.get((item, n), []) for n in names}
        for number, entries in told.items():
            if entries or number in run.model.names:
                found = auditdb.field_history(run.conn, ("shape", item), names[number])
                assert [(f.old, f.new, f.column_then) for f in found] == entries
        rows = run.conn.execute(
            "select column_name, old_value, new_value, column_then from audit.changes"
            " where item_type = 'shape' and item_id = %s order by occurred_at, id, tx",
            [str(item)],
        ).fetchall()
        for number, entries in told.items():
            shown = [tuple(row) for name, *row in rows if name == names[number]]
            assert shown == [(text(was), text(became), then) for was, became, then in entries]
        assert len(rows) == sum(map(len, told.values()))
    said = run.conn.execute(
        "select changes #> '{renamed,new}' from audit.events where action = 'tracking_changed'"
        " and item_id = 'public.shape' and changes ? 'renamed' order by id"
    ).fetchall()
    assert [one for (one,) in said] == [{was: became} for was, became in run.model.renamed]


def check_state(run: Run, item: int, at: datetime, then: Moment) -> None:
    """Compare what an item was at a time, as a whole and column by column."""
    names, about = run.model.names_now(), ("shape", item)
    found = auditdb.state_at(run.conn, about, at)
    if not run.model.entries.get((item, 1)):
        assert found.exists is None
        return
    assert found.exists is (item in then.rows)
    if item not in then.rows:
        assert not found.values
        assert not found.unknown
        return
    truth = {names[number]: cell for number, cell in then.rows[item].items()}
    assert found.values.keys() | found.unknown == truth.keys()
    assert found.values == {n: cell for n, cell in truth.items() if n in found.values}
    # Only of a column that came later and never changed, the log knows nothing.
    assert {truth[name] for name in found.unknown} <= {None}
    assert not found.unknown & {names[n] for n in (1, 2, 3)}
    assert found.names_then == {names[n]: was for n, was in then.names.items() if names[n] != was}
    for number, name in names.items():
        if number in then.names or run.model.entries.get((item, number)):
            expected: Any = NoValue.ABSENT
            if number in then.names:
                expected = NoValue.UNKNOWN if name in found.unknown else truth[name]
            assert auditdb.value_at(run.conn, about, name, at) == expected


def text(cell: int | None) -> str | None:
    return None if cell is None else str(cell)


# -- one by one ------------------------------------------------------------------------------


@pytest.fixture
def conn(engine_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(engine_database, autocommit=True) as session:
        yield session


def at(conn: psycopg.Connection, *statements: str) -> datetime:
    """Run statements; return a time after them and before all later ones."""
    for statement in statements:
        conn.execute(statement.encode())
    moment: datetime = value(conn, "select clock_timestamp()")
    return moment


def history(conn: psycopg.Connection, item: tuple[str, int], column: str, **more: Any) -> list[Any]:
    return [
        (f.old, f.new, f.column_then) for f in auditdb.field_history(conn, item, column, **more)
    ]


def track(conn: psycopg.Connection, columns: str = "a int, b int", more: str = "") -> None:
    at(conn, f"create table s (id int primary key, {columns}); select audit.track('s'{more})")


S = ("s", 1)


def test_names_that_were_swapped_say_what_the_row_is(conn: psycopg.Connection) -> None:
    track(conn)
    before = at(conn, "insert into s values (1, 10, 20)")
    after = at(conn, "alter table s rename a to t", "alter table s rename b to a")
    changed = at(conn, "update s set a = 21")
    assert auditdb.state_at(conn, S, changed).values == {"id": 1, "t": 10, "a": 21}
    assert auditdb.state_at(conn, S, after).values == {"id": 1, "t": 10, "a": 20}
    then = auditdb.state_at(conn, S, before)
    assert then.values == {"id": 1, "t": 10, "a": 20}
    assert then.names_then == {"t": "a", "a": "b"}
    assert history(conn, S, "a") == [(None, 20, "b"), (20, 21, "a")]
    (event,) = auditdb.events(conn, action="s_updated")
    assert [(c.column, c.column_then) for c in auditdb.changes(conn, event)] == [("a", "a")]


def test_a_former_name_is_refused_with_the_one_of_now(conn: psycopg.Connection) -> None:
    track(conn)
    now = at(conn, "insert into s values (1, 10, 20)", "alter table s rename a to t")
    for ask in (
        lambda: auditdb.field_history(conn, S, "a"),
        lambda: auditdb.value_at(conn, S, "a", now),
    ):
        with pytest.raises(auditdb.InvalidQuestion, match=r"'a' of public\.s is called 't' now"):
            ask()


def test_a_dropped_column_and_a_new_one_of_its_name_are_two(conn: psycopg.Connection) -> None:
    track(conn, "a int")
    old = at(conn, "insert into s values (1, 10)")
    between = at(conn, "alter table s drop column a")
    assert history(conn, S, "a") == [(None, 10, "a")]
    assert auditdb.value_at(conn, S, "a", between) is NoValue.ABSENT
    assert auditdb.state_at(conn, S, between).values == {"id": 1}
    new = at(conn, "alter table s add column a text", "update s set a = 'x'")
    assert history(conn, S, "a") == [(None, "x", "a")]
    assert history(conn, S, "a#2") == [(None, 10, "a")]
    assert auditdb.state_at(conn, S, old).values == {"id": 1, "a#2": 10}
    assert auditdb.state_at(conn, S, new).values == {"id": 1, "a": "x"}
    assert auditdb.value_at(conn, S, "a#2", new) is NoValue.ABSENT
    assert auditdb.value_at(conn, S, "a", old) is NoValue.ABSENT


def test_parts_and_secrets_are_followed(conn: psycopg.Connection) -> None:
    track(conn, "pin text", ", secret => '{pin}'")
    at(
        conn,
        "create table line (id int primary key, s_id int, name text, level int)",
        "select audit.track('line', item_type => 's', item_id => 's_id', part => 'lines',"
        " part_name => 'name', lookups => '{}')",
        "insert into s values (1, 'canary')",
    )
    before = at(conn, "insert into line values (1, 1, 'A', 3)", "update line set level = 4")
    at(conn, "alter table line rename level to height", "alter table s rename pin to code")
    after = at(conn, "update line set height = 5", "update s set code = 'other'")
    path = "lines/A/height"
    assert history(conn, S, path) == [
        (None, 3, "lines/A/level"),
        (3, 4, "lines/A/level"),
        (4, 5, path),
    ]
    then = auditdb.state_at(conn, S, before)
    assert then.values[path] == 4
    assert then.redacted == {"code"}
    assert then.names_then == {path: "lines/A/level", "code": "pin"}
    assert auditdb.state_at(conn, S, after).values[path] == 5
    assert [f.column_then for f in auditdb.field_history(conn, S, "code")] == ["pin", "code"]
    at(conn, "alter table line drop column height")
    gone = at(conn)
    assert auditdb.value_at(conn, S, path, gone) is NoValue.ABSENT
    shown = conn.execute(
        "select old_value, new_value, column_then from audit.changes"
        " where item_type = 's' and item_id = '1' and column_name = %s"
        " order by occurred_at, id, tx",
        [path],
    ).fetchall()
    assert shown == [(None, "3", "lines/A/level"), ("3", "4", "lines/A/level"), ("4", "5", path)]


def test_rows_without_a_layout_go_by_their_names(conn: psycopg.Connection) -> None:
    track(conn, "a int")
    at(
        conn,
        "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
        " db_role, era, changes) values ('2020-01-01Z', 's_created', 's', '1', 'x', 'x', 'x', 0,"
        """ '{"a": {"new": 7}, "id": {"new": 1}}')""",
    )
    at(conn, "alter table s rename a to t")
    assert history(conn, S, "a") == [(None, 7, "a")]
    assert auditdb.state_at(conn, S, at(conn)).values == {"a": 7, "id": 1}


def test_a_table_made_anew_has_columns_of_its_own(conn: psycopg.Connection) -> None:
    track(conn, "a int, gone int")
    old = at(conn, "insert into s values (1, 10, 1)")
    at(conn, "drop table s")
    track(conn, "b int, a int")
    at(conn, "insert into s values (1, 5, 20)", "alter table s rename a to t")
    new = at(conn)
    assert auditdb.state_at(conn, S, old).values == {"id": 1, "a": 10, "gone": 1}
    assert auditdb.state_at(conn, S, new).values == {"id": 1, "b": 5, "t": 20}
    assert history(conn, S, "a") == [(None, 10, "a")]
    assert history(conn, S, "t") == [(None, 20, "a")]


def test_a_restored_table_goes_by_names(conn: psycopg.Connection) -> None:
    """As a restore does, the table is made anew, its columns renumbered, its declaration kept."""
    track(conn, "x int, a int")
    before = at(conn, "insert into s values (1, 0, 10)", "alter table s drop column x")
    at(conn, "alter event trigger audit_after_ddl disable")
    at(conn, "alter table s rename to old_s", "create table s (id int primary key, a int)")
    at(conn, "insert into s values (1, 10)")
    at(conn, "update audit.tracked set target = 's'::regclass, tables = array['s'::regclass]")
    at(conn, "alter event trigger audit_after_ddl enable", "drop table old_s cascade")
    at(conn, "select audit.refresh()", "alter table s rename a to t", "update s set t = 11")
    assert history(conn, S, "t") == [(None, 10, "a"), (10, 11, "t")]
    assert auditdb.state_at(conn, S, before).values == {"id": 1, "t": 10}
    assert history(conn, S, "x") == [(None, 0, "x")]


# -- two tables of one name ------------------------------------------------------------------


@pytest.fixture
def tenants(conn: psycopg.Connection) -> psycopg.Connection:
    notices: list[str] = []
    conn.add_notice_handler(lambda said: notices.append(said.message_primary or ""))
    for schema in ("t1", "t2"):
        at(
            conn,
            f"create schema {schema}; create table {schema}.inv (id int primary key, a int)",
            f"select audit.track('{schema}.inv')",
        )
    at(conn, "insert into t1.inv values (1, 10)", "insert into t2.inv values (1, 20), (2, 30)")
    at(conn, "delete from t2.inv where id = 1")
    assert notices == ['items of t2.inv are of the type "inv", and so are those of t1.inv']
    return conn


INV = ("inv", 1)


def test_an_id_of_two_tables_is_asked_for_with_the_table(tenants: psycopg.Connection) -> None:
    now = at(tenants)
    for ask in (
        lambda **table: auditdb.state_at(tenants, INV, now, **table),
        lambda **table: auditdb.value_at(tenants, INV, "a", now, **table),
        lambda **table: auditdb.field_history(tenants, INV, "a", **table),
    ):
        with pytest.raises(auditdb.InvalidQuestion, match=r"2 tables: t1\.inv, t2\.inv\."):
            ask()
        assert ask(table="t1.inv") != ask(table="t2.inv")
    assert auditdb.state_at(tenants, INV, now, table="t1.inv").values == {"id": 1, "a": 10}
    assert auditdb.state_at(tenants, INV, now, table="t2.inv").exists is False
    assert auditdb.state_at(tenants, ("inv", 2), now).values == {"id": 2, "a": 30}


def test_events_are_filtered_by_table(tenants: psycopg.Connection) -> None:
    for table, actions in (
        ("t1.inv", ["inv_created"]),
        ("t2.inv", ["inv_created", "inv_deleted"]),
        (["t1.inv", "t2.inv"], ["inv_created", "inv_created", "inv_deleted"]),
        ("t3.inv", []),
        ([], []),
    ):
        assert [e.action for e in auditdb.item_history(tenants, INV, table=table)] == actions
        found = auditdb.events(tenants, item=INV, table=table)
        assert [e.action for e in found] == actions[::-1]
        streamed = auditdb.iter_events(tenants, item=INV, table=table, page_size=1)
        assert [e.action for e in streamed] == actions[::-1]
        assert sum(c.count for c in auditdb.counts(tenants, item=INV, table=table)) == len(actions)


def test_a_table_goes_by_the_name_that_it_has_now(tenants: psycopg.Connection) -> None:
    at(tenants, "alter table t1.inv rename to invoice", "alter index t1.inv_pkey rename to key")
    at(tenants, "alter table t2.inv set schema t1")
    (event,) = auditdb.item_history(tenants, INV, table="t1.invoice")
    assert event.table_name == "t1.inv"
    names = {e.table_name for e in auditdb.events(tenants, table="t1.inv")}
    assert names == {"t2.inv"}
    assert auditdb.state_at(tenants, INV, at(tenants), table="t1.invoice").values["a"] == 10


def test_tables_that_make_one_item_are_given_together(conn: psycopg.Connection) -> None:
    track(conn, "a int")
    at(conn, "create table more (id int primary key, b int)")
    at(conn, "select audit.track('more', item_type => 's')")
    now = at(conn, "insert into s values (1, 10)", "insert into more values (1, 20)")
    with pytest.raises(auditdb.InvalidQuestion):
        auditdb.state_at(conn, S, now)
    both = auditdb.state_at(conn, S, now, table=["public.s", "public.more"])
    assert both.values == {"id": 1, "a": 10, "b": 20}
    assert history(conn, S, "b") == [(None, 20, "b")]


# -- the identity of a row -------------------------------------------------------------------


TWINS = (
    "insert into audit.log (id, tx, occurred_at, account_id, action, item_type, item_id,"
    " actor_type, actor_id, db_role) select 7, t, %s::timestamptz, '', 'x', 'twin', t::text,"
    " 'x', 'x', 'x' from generate_series(1, 5) as t"
)


@pytest.mark.parametrize("moment", ["2026-03-01 12:00:00.5Z", "0044-03-15 BC", "294276-12-31Z"])
def test_rows_of_one_time_and_id_are_told_apart(conn: psycopg.Connection, moment: str) -> None:
    conn.execute(TWINS.encode(), [moment])
    found = list(auditdb.iter_events(conn, item=("twin", 3)))
    assert [e.tx for e in found] == [3]
    paged = list(auditdb.iter_events(conn, action="x", page_size=2))
    assert [e.tx for e in paged] == [5, 4, 3, 2, 1]
    for event in paged:
        assert auditdb.event(conn, event.key) == event
        assert auditdb.event(conn, event.key, account_id="") == event
        assert auditdb.event(conn, event.key, account_id="other") is None
        assert auditdb.changes(conn, event) == ()
        query = "select tx from audit.event(%s) as e where key = %s"
        assert conn.execute(query.encode(), [event.key, event.key]).fetchall() == [(event.tx,)]
    assert len({e.key for e in paged}) == 5


def test_a_key_does_not_depend_on_settings(conn: psycopg.Connection) -> None:
    conn.execute(TWINS.encode(), ["2026-03-01 12:00:00.5Z"])
    for setting in ("timezone = 'America/St_Johns'", "datestyle = 'SQL, DMY'", "lc_numeric = 'C'"):
        conn.execute(f"set {setting}".encode())
        assert value(conn, "select key from audit.events where tx = 3") == "1772366400500000-7-3"
        assert value(conn, "select count(*) from audit.event('1772366400500000-7-3')") == 1


def test_what_no_row_has_as_key_finds_none(conn: psycopg.Connection) -> None:
    most = "9" * 19
    keys = ["", "1-1", "1-1-1-1", "a-1-1", f"{most}-1-1", f"-{most}-1-1", f"1-{most}-1"]
    for key in [*keys, f"1-1-{most}"]:
        assert value(conn, "select count(*) from audit.event(%s)", key) == 0
        with pytest.raises(auditdb.InvalidQuestion, match="is no key"):
            auditdb.event(conn, key)
    assert auditdb.event(conn, "1-1-1") is None
