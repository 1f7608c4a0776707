"""What a query helper, or an application that writes, is told when the database refuses."""

import asyncio
import random
import string
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2
import pytest
import sqlalchemy
from psycopg import conninfo
from sqlalchemy.exc import DBAPIError

import auditdb
from auditdb import errors
from tests.conftest import Connect, CreateRole
from tests.support.commands import auditdb as command
from tests.support.helpers import value
from tests.support.readers import KINDS, ask, async_reader, engine, reader
from tests.support.servers import Server

UPDATE = "update audit.log set actor_id = 'nobody'"
DRIVERS: dict[str, type[Exception]] = {
    "psycopg": psycopg.Error,
    "psycopg2": psycopg2.Error,
    "asyncpg": asyncpg.PostgresError,
}


def driver_of(kind: str) -> type[Exception]:
    return DRIVERS[kind.split()[1]]


# -- what reads --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_without_a_log_is_told(kind: str, empty_database: str) -> None:
    with pytest.raises(auditdb.SchemaMissing, match="auditdb upgrade") as told:
        ask(empty_database, kind, (auditdb.events, (), {}))
    assert isinstance(told.value.__cause__, driver_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_of_another_version_is_told(kind: str, database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("alter view audit.events rename column action_label to former")
    with pytest.raises(auditdb.SchemaBehind, match="another version") as told:
        ask(database, kind, (auditdb.events, (), {}))
    assert isinstance(told.value.__cause__, driver_of(kind))


@pytest.mark.parametrize("kind", ["sync psycopg", "sync psycopg2 session", "async asyncpg session"])
def test_a_role_without_rights_is_told_which_it_needs(
    kind: str, server: Server, database: str, create_role: CreateRole
) -> None:
    name = str(conninfo.conninfo_to_dict(database)["dbname"])
    with pytest.raises(auditdb.PermissionDenied, match=r"select on audit\.events"):
        ask(server.url(name, create_role()), kind, (auditdb.counts, (), {}))


def test_a_connection_that_is_gone_is_told(database: str) -> None:
    for kind in ("psycopg", "psycopg session", "psycopg2 session"):
        with reader(database, kind) as conn, psycopg.connect(database, autocommit=True) as other:
            auditdb.events(conn)
            end(other)
            with pytest.raises(auditdb.DatabaseUnreachable):
                auditdb.events(conn)
            if kind != "psycopg":
                conn.rollback()

    async def gone(kind: str) -> None:
        async with async_reader(database, kind) as conn:
            await auditdb.events(conn)
            with psycopg.connect(database, autocommit=True) as other:
                end(other)
            with pytest.raises(auditdb.DatabaseUnreachable):
                await auditdb.events(conn)
            if kind != "psycopg":
                await conn.rollback()

    for kind in ("psycopg", "asyncpg connection"):
        asyncio.run(gone(kind))


def end(other: psycopg.Connection) -> None:
    """End all other sessions of the database, and wait until they are no more."""
    other.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize("helper", [auditdb.events, auditdb.item_history, auditdb.value_at])
def test_what_is_no_connection_is_refused(helper: Any, database: str) -> None:
    async def raw() -> None:
        parts = conninfo.conninfo_to_dict(database)
        conn = await asyncpg.connect(
            host=parts["host"], port=parts["port"], user=parts["user"], database=parts["dbname"]
        )
        try:
            with pytest.raises(TypeError, match=r"asyncpg\.connection"):
                helper(conn)
        finally:
            await conn.close()

    asyncio.run(raw())
    with engine(database, "psycopg") as made:
        for wrong in (None, database, made):
            with pytest.raises(TypeError, match="a Connection or AsyncConnection of psycopg"):
                helper(wrong)


# -- what writes -------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("is_raw", [True, False])
def test_errors_of_writes_can_be_translated(database: str, driver: str, is_raw: bool) -> None:
    with engine(database, driver) as made, made.connect() as conn:
        raw: Any = conn.connection.driver_connection
        execute: Any = conn.execute
        statement: Any = sqlalchemy.text(UPDATE)
        if is_raw:
            execute, statement = raw.cursor().execute, UPDATE
        with pytest.raises(auditdb.AppendOnly) as told, auditdb.translated():
            execute(statement)
        raw.rollback()
    assert isinstance(told.value.__cause__, DRIVERS[driver])
    assert errors.sqlstate(told.value.__cause__) == "UA004"
    assert "append-only" in told.value.message


@pytest.mark.parametrize("is_raw", [True, False])
def test_errors_of_asyncpg_can_be_translated(database: str, is_raw: bool) -> None:
    async def write() -> auditdb.AuditError:
        async with async_reader(database, "asyncpg connection") as conn:
            raw = (await conn.get_raw_connection()).driver_connection
            execute: Any = conn.execute
            statement: Any = sqlalchemy.text(UPDATE)
            if is_raw:
                execute, statement = raw.execute, UPDATE
            with pytest.raises(auditdb.AppendOnly) as told, auditdb.translated():
                await execute(statement)
            return told.value

    found = asyncio.run(write())
    assert isinstance(found.__cause__, asyncpg.PostgresError)
    assert errors.sqlstate(found.__cause__) == "UA004"


STATES = {c.sqlstate: c for c in auditdb.AuditError.__subclasses__() if c.sqlstate}


def failure(driver: str, url: str, statement: str) -> BaseException:
    """Return what SQLAlchemy raises for a statement through a driver."""

    async def fail() -> BaseException:
        async with async_reader(url, "asyncpg connection") as conn:
            with pytest.raises(DBAPIError) as failed:
                await conn.exec_driver_sql(statement)
            return failed.value

    if driver == "asyncpg":
        return asyncio.run(fail())
    with engine(url, driver) as made, made.connect() as conn:
        with pytest.raises(DBAPIError) as failed:
            conn.exec_driver_sql(statement)
        return failed.value


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
@pytest.mark.parametrize("state", sorted(state for state in STATES if state))
def test_each_sqlstate_has_its_class_with_message_and_hint(
    database: str, driver: str, state: str
) -> None:
    statement = (
        "do $$ begin raise 'what happened' using errcode = '" + state + "',"
        " hint = 'what to do', detail = 'canary'; end $$"
    )

    error = failure(driver, database, statement)
    translated = auditdb.translate(error)
    assert type(translated) is STATES[state]
    assert (translated.message, translated.hint) == ("what happened", "what to do")
    assert isinstance(translated.__cause__, DRIVERS[driver])
    assert "canary" not in f"{translated}"


def test_only_errors_of_drivers_are_translated() -> None:
    with pytest.raises(TypeError, match="ValueError"):
        auditdb.translate(ValueError("x"))
    ours = auditdb.AppendOnly()
    assert auditdb.translate(ours) is ours
    with pytest.raises(ZeroDivisionError), auditdb.translated():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("id", "The id of the item is too long"),
        ("account", "The account is too long"),
        ("parent", "The id of the parent is too long"),
        ("actor", "The id of the actor is too long"),
    ],
)
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_text_that_no_index_of_the_log_holds_is_named(
    connect: Connect, database: str, driver: str, column: str, told: str
) -> None:
    owner = connect(autocommit=True)
    owner.execute(
        "create table public.long (number int primary key, id text default '',"
        " account text, parent text)"
    )
    owner.execute(
        "select audit.track('public.long', item_id => 'id', account => 'account',"
        " parent_type => 'page', parent_id => 'parent')"
    )
    # Nothing that could be compressed.
    text = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=6000))
    insert = f"insert into public.long (number, {column}) values (1, $x${text}$x$)"
    if column == "actor":
        # Past audit.set_actor(), which would have refused it.
        setting = "concat(extract(epoch from current_timestamp), chr(31), 'u', chr(31), $x${}$x$)"
        insert = (
            f"do $do$ begin perform set_config('audit.actor', {setting.format(text)}, true);"
            " insert into public.long (number) values (1); end $do$"
        )
    error = failure(driver, database, insert)
    assert isinstance(error, DBAPIError)
    translated = auditdb.translate(error)
    assert type(translated) is auditdb.DatabaseFailed
    assert told in translated.message
    assert "audit.track()" in (translated.hint or "")
    assert text[:40] not in f"{translated}"
    assert value(owner, "select count(*) from public.long") == 0


def test_an_export_of_an_account_that_none_can_be_says_so(database: str) -> None:
    ran = command("export", "-", "--url", database, "--account", "x" * 3000, "--format", "jsonl")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "account is longer than" in ran.stderr
