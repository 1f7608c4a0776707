"""Random transactions are undone from the log alone: all tables are as before, to the letter."""

import itertools
import json
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import errors, sql

from tests.conftest import Connect
from tests.record.test_oracle import LIVELY, PARENTS, WRITTEN, clear
from tests.support.core_tables import TABLES, Tables
from tests.support.core_values import small_platform
from tests.support.effort import sized
from tests.support.helpers import value
from tests.support.oracle import apply
from tests.support.statements import Draw, Statement, Statements, added

pytestmark = pytest.mark.slow

ACTOR = "select audit.set_actor('platform_user', '7')"
KINDS = ("insert", "update", "update_each", "mixed", "delete", "delete")
Rows = dict[tuple[str, str], dict[str, str]]


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection:
    """A session on a database whose log holds every column of every core table."""
    session = connect(autocommit=True)
    session.execute(
        """
        select audit.track(t.target, item_type => t.item_type, item_id => t.item_id,
            item_label => t.item_label, account => t.account, accounts => t.accounts,
            parent_type => t.parent_type, parent_id => t.parent_id, lookups => t.lookups,
            part => t.part, part_name => t.part_name,
            actions => case when t.actions @> '[{"grouped": true}]' then t.actions end)
        from (select * from audit.tracked order by id) as t
        """
    )
    return session


def rows(conn: psycopg.Connection) -> Rows:
    """Return all rows of all core tables by table and key, with their values as text."""
    found: Rows = {}
    for name, table in TABLES.items():
        query = sql.SQL("select to_json(t) from licensing.{} as t").format(sql.Identifier(name))
        for (row,) in conn.execute(query).fetchall():
            key = json.dumps([row[column] for column in table.key])
            found[name, key] = {column: json.dumps(held) for column, held in row.items()}
    return found


def script(draw: Draw, tables: Tables, statements: Statements, length: int) -> Iterator[Statement]:
    """Draw the statements of a transaction, each for the tables as those before it left them."""
    for _ in range(length):
        kind = draw(st.sampled_from(KINDS))
        names = PARENTS if kind == "delete" and draw(st.booleans()) else WRITTEN + LIVELY
        name = draw(st.sampled_from(names))
        drawn: Statement | None = getattr(statements, kind)(draw, tables, name)
        statement = drawn or statements.insert(draw, tables, name)
        if statement and not statement.is_refused:
            tables = apply(tables, statement.effects)
            yield statement


def run(conn: psycopg.Connection, drawn: list[Statement]) -> int:
    with conn.transaction():
        conn.execute(ACTOR)
        for statement in drawn:
            statement.run(conn)
        number: int = value(conn, "select txid_current()")
    return number


def undo(conn: psycopg.Connection, tx: int) -> int | None:
    """Undo a transaction; return the number of the one that did, None where nothing was to undo."""
    try:
        with conn.transaction():
            conn.execute(ACTOR)
            conn.execute("select audit.undo(tx => %s)", (tx,))
            number: int = value(conn, "select txid_current()")
    except errors.Error as error:
        if error.diag.message_primary == "nothing to undo":
            return None
        raise
    return number


def start(conn: psycopg.Connection) -> Tables:
    clear(conn)
    tables: Tables = {name: {} for name in TABLES}
    first_id = value(conn, "select coalesce(max(id), 0) + 1 from licensing.accounts")
    for name, made in small_platform(first_id).items():
        statement = added(name, made, "select")
        statement.run(conn)
        tables = apply(tables, statement.effects)
    return tables


SETTINGS = settings(
    max_examples=sized(15, 250),
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def test_undone_and_redone(conn: psycopg.Connection) -> None:
    count = itertools.count()

    @SETTINGS
    @given(data=st.data())
    def one(data: st.DataObject) -> None:
        tables = start(conn)
        statements = Statements(itertools.count(1000))
        for _ in range(4):
            before = rows(conn)
            drawn = list(script(data.draw, tables, statements, data.draw(st.integers(1, 8))))
            tx = run(conn, drawn)
            after = rows(conn)
            back = undo(conn, tx)
            said = [statement.sql for statement in drawn]
            assert rows(conn) == before, said
            if back is None:
                assert after == before, said
                continue
            next(count)
            again = undo(conn, back)
            assert again is not None
            assert rows(conn) == after, said
            for statement in drawn:
                tables = apply(tables, statement.effects)

    one()
    assert next(count) > sized(40, 800), "hardly a transaction did anything"


def changed(before: Rows, after: Rows) -> dict[tuple[str, str], set[str] | None]:
    """Return which columns of which rows differ, None for rows that came or went."""
    return {
        key: None
        if key not in before or key not in after
        else {column for column, held in after[key].items() if before[key][column] != held}
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }


def meet(one: set[str] | None, other: set[str] | None) -> bool:
    """Return whether two changes of a row are of one column, or one of them of the whole row."""
    return one is None or other is None or bool(one & other)


def named(conn: psycopg.Connection, tx: int) -> dict[tuple[str, str], str | None]:
    """Return what the plan has against each row."""
    found = conn.execute(
        "select table_name, key, coalesce(conflict, case restorable when 'no' then missing[1] end)"
        " from audit.undo_plan(tx => %s)",
        (tx,),
    ).fetchall()
    return {(table.removeprefix("licensing."), key): against for table, key, against in found}


def path(name: str, key: str) -> tuple[str, str]:
    return name, "/".join(str(part) for part in json.loads(key))


def test_every_conflict_is_named(conn: psycopg.Connection) -> None:
    counts = {"refused": 0, "undone": 0}

    @SETTINGS
    @given(data=st.data())
    def one(data: st.DataObject) -> None:
        tables = start(conn)
        statements = Statements(itertools.count(1000))
        pictures, numbers = [rows(conn)], []
        for _ in range(2):
            drawn = list(script(data.draw, tables, statements, data.draw(st.integers(1, 6))))
            numbers.append(run(conn, drawn))
            pictures.append(rows(conn))
            for statement in drawn:
                tables = apply(tables, statement.effects)
        before, between, now = pictures
        told = named(conn, numbers[0])
        first, second = changed(before, between), changed(between, now)
        both = {path(*key) for key in first.keys() & second.keys() if meet(first[key], second[key])}
        against = {key for key, conflict in told.items() if conflict is not None}
        assert both <= against, told
        if against:
            with pytest.raises(errors.Error) as caught:
                undo(conn, numbers[0])
            assert caught.value.sqlstate == "UA011"
            assert rows(conn) == now
            counts["refused"] += 1
        else:
            assert (undo(conn, numbers[0]) is None) == (not told)
            # What the first changed is as it was; what the second changed stays.
            for key, columns in changed(now, rows(conn)).items():
                assert key in first
                assert columns is None or columns <= (first[key] or set())
            counts["undone"] += 1

    one()
    assert min(counts.values()) > sized(1, 20), counts
