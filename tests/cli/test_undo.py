"""`auditdb undo`: shows what it takes, and does it when told to."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

import auditdb
from auditdb import InvalidQuestion, UndoRefused, UndoStep
from tests.conftest import Connect, CreateRole
from tests.support.commands import auditdb as run
from tests.support.commands import lines, terminal
from tests.support.helpers import value


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection:
    """A session with a changed row, and a trigger that needs the search_path of its schema."""
    session = connect(autocommit=True)
    session.execute(
        """
        create table note (id int primary key, text text);
        create table seen (id int);
        create function see() returns trigger language plpgsql as
          'begin insert into seen values (new.id); return new; end';
        create trigger see after update on note for each row execute function see();
        select audit.track('note');
        insert into note values (1, 'a');
        """
    )
    session.execute("update note set text = 'b'")
    return session


def transaction(conn: psycopg.Connection) -> int:
    tx: int = value(conn, "select tx from audit.events order by id desc limit 1")
    return tx


def test_it_shows_and_then_does(conn: psycopg.Connection, database: str) -> None:
    asked = ("undo", "--url", database, "--transaction", str(transaction(conn)))
    (step,) = lines(run(*asked))
    assert step == {
        "step": 1,
        "table_name": "public.note",
        "key": "1",
        "operation": "update",
        "statement": """update public.note set "text" = 'a'::pg_catalog.text"""
        """ where ("id" operator(pg_catalog.=) '1'::pg_catalog.int4)""",
        "conflict": None,
        "restorable": "yes",
        "missing": [],
    }
    assert value(conn, "select text from note") == "b"
    ran = run(*asked, "--run", "--by", "platform_user:7", "--reason", "a mistake")
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, "1 of 1 step undone.")
    assert conn.execute("select text, (select count(*) from seen) from note").fetchall() == [
        ("a", 2)
    ]
    assert value(conn, "select context ->> 'reason' from audit.events order by id desc limit 1")


def test_what_is_against_it(conn: psycopg.Connection, database: str) -> None:
    tx = transaction(conn)
    conn.execute("update note set text = 'c'")
    asked = ("undo", "--url", database, "--transaction", str(tx))
    code, shown = terminal(*asked)
    assert code == 0
    assert "conflict: text was changed since" in shown
    ran = run(*asked, "--run", "--by", "platform_user:7")
    assert ran.returncode == 1
    assert "public.note 1: text was changed since" in ran.stderr
    for choice, left in (("skip", "c"), ("force", "a")):
        ran = run(*asked, "--run", "--by", "platform_user:7", "--on-conflict", choice)
        assert (ran.returncode, value(conn, "select text from note")) == (0, left)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--transaction", "1", "--event", "x"),
        ("--item", "note:1"),
        ("--event", "x", "--at", "7d"),
        ("--transaction", "1", "--run"),
        ("--transaction", "1", "--on-conflict", "guess"),
    ],
)
def test_wrong_usage(options: tuple[str, ...]) -> None:
    assert run("undo", *options).returncode == 2


def test_the_helpers(conn: psycopg.Connection, database: str) -> None:
    (event,) = auditdb.events(conn, limit=1)
    moment = event.occurred_at - timedelta(microseconds=1)
    plans = [
        auditdb.undo_plan(conn, tx=event.tx, era=event.era),
        auditdb.undo_plan(conn, event=event.key),
        auditdb.undo_plan(conn, item=("note", 1), at=moment),
    ]
    assert plans == [plans[0]] * 3
    assert isinstance(plans[0][0], UndoStep)
    assert json.loads(plans[0][0].as_json())["key"] == "1"
    with pytest.raises(InvalidQuestion):
        auditdb.undo_plan(conn)
    with pytest.raises(InvalidQuestion):
        auditdb.undo_plan(conn, tx=1, event="x")
    with pytest.raises(InvalidQuestion):
        auditdb.undo_plan(conn, item=("note", 1))
    with pytest.raises(InvalidQuestion):
        auditdb.undo_plan(conn, era=1, event="x")
    with pytest.raises(auditdb.ActorRequired):
        auditdb.undo(conn, tx=event.tx)
    with conn.transaction(), auditdb.actor("platform_user", 7, connection=conn):
        assert auditdb.undo(conn, tx=event.tx) == 1
    conn.execute("update note set text = 'c'")
    with (
        conn.transaction(),
        auditdb.actor("platform_user", 7, connection=conn),
        pytest.raises(UndoRefused, match="text was changed since"),
        conn.transaction(),
    ):
        auditdb.undo(conn, tx=event.tx)
    url = database.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = auditdb.instrument(sqlalchemy.create_engine(url))
    with auditdb.actor("platform_user", 7), engine.begin() as connection:
        assert auditdb.undo(connection, tx=event.tx, on_conflict="force") == 1
    engine.dispose()
    assert value(conn, "select text from note") == "a"
    conn.execute("update note set text = 'c'")
    asyncio.run(_undo_last(url))
    assert value(conn, "select text from note") == "a"


async def _undo_last(url: str) -> None:
    engine = auditdb.instrument(create_async_engine(url))
    with auditdb.actor("platform_user", 7):
        async with engine.begin() as connection:
            (event,) = await auditdb.events(connection, limit=1)
            (step,) = await auditdb.undo_plan(connection, event=event.key)
            assert step.conflict is None
            assert await auditdb.undo(connection, event=event.key) == 1
    await engine.dispose()


@pytest.fixture
def role(
    conn: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> Callable[..., psycopg.Connection]:
    """A function that opens a session of a new role, with these rights."""

    def opened(*grants: str) -> psycopg.Connection:
        name = create_role()
        for grant in grants:
            conn.execute(f"{grant} to {name}".encode())
        return connect(user=name, autocommit=True)

    return opened


def undo(session: psycopg.Connection, tx: int) -> None:
    with session.transaction():
        session.execute("select audit.set_actor('platform_user', '7')")
        session.execute("select audit.undo(tx => %s)", (tx,))


def test_it_takes_the_rights_of_the_caller(
    conn: psycopg.Connection, role: Callable[..., psycopg.Connection]
) -> None:
    tx = transaction(conn)
    table = "grant select, update on public.note"
    seen = "grant insert on public.seen"
    denied = (
        role(table, seen),
        role("grant audit_reader", "grant select on public.note", seen),
        role("grant audit_reader"),
    )
    for session in denied:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            undo(session, tx)
    undo(role("grant audit_reader", table, seen), tx)
    assert value(conn, "select text from note") == "a"
