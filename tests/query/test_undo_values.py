"""Every kind of column goes back to the value that it had, as its type writes it."""

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect
from tests.query.test_undo import do, undo
from tests.record.test_settings import kinds
from tests.support.helpers import value
from tests.support.kinds import KINDS, TYPES

HABITS = (
    "set timezone = 'America/St_Johns'; set intervalstyle = sql_standard;"
    " set datestyle = 'SQL, DMY'; set bytea_output = escape; set extra_float_digits = 0;"
    " set xmloption = document; set search_path = public"
)
# JSON has one null: that of a document is not told from SQL's.
VAGUE = [
    number
    for number, kind in enumerate(KINDS)
    if kind.type == "jsonb" and (kind.second in (None, "null") or kind.first == "null")
]
ARRAY = next(number for number, kind in enumerate(KINDS) if kind.type == "jsonb[]")


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection:
    """A session with two rows of all kinds, the first and the second values."""
    session = connect(autocommit=True)
    session.execute(TYPES.encode())
    session.execute("create table public.given (id int primary key)")
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(f"c{number}"), sql.SQL(kind))
        for number, kind in enumerate(kinds(session))
    )
    session.execute(sql.SQL("create table public.every (id int primary key, {})").format(columns))
    firsts, seconds = [kind.first for kind in KINDS], [kind.second for kind in KINDS]
    for place, values in ((1, firsts), (2, seconds)):
        row = sql.SQL(", ").join(sql.Literal(one) for one in values)
        session.execute(sql.SQL("insert into public.every values ({}, {})").format(place, row))
    session.execute("select audit.track('public.every')")
    return session


def written(conn: psycopg.Connection) -> list[tuple[str, ...]]:
    """Return the rows as their types write them, and their sizes, which tell scales apart."""
    with conn.transaction():
        conn.execute("set local timezone = 'UTC'")
        columns = sql.SQL(", ").join(
            sql.SQL("concat(num_nulls({0}), {0})").format(sql.Identifier(f"c{number}"))
            for number, _ in enumerate(KINDS)
        )
        return conn.execute(
            sql.SQL("select id, {} from every order by id").format(columns)
        ).fetchall()


def is_identical(conn: psycopg.Connection) -> bool:
    """Return whether the rows are those that were kept, byte for byte."""
    return bool(
        value(
            conn,
            "select count(*) = 2 and bool_and(record_image_eq(e, k))"
            " from every as e join kept as k using (id)",
        )
    )


def keep(conn: psycopg.Connection) -> None:
    conn.execute("drop table if exists kept")
    conn.execute("create temp table kept as select * from every")


def test_rows_that_were_deleted(conn: psycopg.Connection) -> None:
    keep(conn)
    before = written(conn)
    tx = do(conn, "delete from every")
    conn.execute(HABITS)
    back = undo(conn, tx)
    conn.execute("reset all")
    assert written(conn) == before
    assert is_identical(conn)
    again = undo(conn, back)
    assert written(conn) == []
    undo(conn, again)
    assert is_identical(conn)


def test_columns_that_were_updated(conn: psycopg.Connection) -> None:
    keep(conn)
    before = written(conn)
    settings = sql.SQL(", ").join(
        sql.SQL("{0} = (select {0} from kept where id <> e.id)").format(sql.Identifier(f"c{n}"))
        for n, _ in enumerate(KINDS)
        if n not in (*VAGUE, ARRAY)
    )
    tx = do(conn, sql.SQL("update every as e set {}").format(settings))
    after = written(conn)
    assert after != before
    conn.execute(HABITS)
    back = undo(conn, tx)
    conn.execute("reset all")
    assert written(conn) == before
    assert is_identical(conn)
    undo(conn, back)
    assert written(conn) == after


def test_nulls_of_documents_are_not_guessed(conn: psycopg.Connection) -> None:
    tx = do(conn, sql.SQL("update every set c{} = '{{}}' where id = 1").format(ARRAY))
    assert value(conn, "select missing[1] from audit.undo_plan(tx => %s)", tx) == (
        f"c{ARRAY} cannot be told from its JSON"
    )
    number = VAGUE[0]
    column = sql.Identifier(f"c{number}")
    conn.execute(sql.SQL("update every set {} = 'null'").format(column))
    tx = do(conn, sql.SQL("update every set {} = '1' where id = 1").format(column))
    found = conn.execute(
        "select restorable, statement, missing from audit.undo_plan(tx => %s)", (tx,)
    ).fetchall()
    assert found == [("no", None, [f"c{number} was null, in JSON or not"])]
    conn.execute(sql.SQL("update every set {} = '1'").format(column))
    conn.execute(sql.SQL("alter table every alter column {} set not null").format(column))
    assert value(conn, "select restorable from audit.undo_plan(tx => %s)", tx) == "yes"
    undo(conn, tx)
    assert written(conn)[0][number + 1] == "0null"


def test_numbers_that_json_writes_otherwise(conn: psycopg.Connection) -> None:
    conn.execute("create table number (id int primary key, d float8, r real, n numeric)")
    conn.execute("select audit.track('number')")
    conn.execute("insert into number values (1, 1e-30, '-0', 1.10), (2, 1e300, 1e-30, 1e20)")
    query = "select d::text, r::text, n::text from number order by id"
    before = conn.execute(query).fetchall()
    tx = do(conn, "update number set d = 2e-30 / id, r = '-0'::real / id + r, n = 1.1 * id")
    after = conn.execute(query).fetchall()
    back = undo(conn, tx)
    assert conn.execute(query).fetchall() == before
    undo(conn, back)
    assert conn.execute(query).fetchall() == after
