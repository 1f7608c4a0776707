"""A tracked table changes over time: its log follows, and no write breaks, before or after."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect, _new_database
from tests.support.helpers import LogRow, recorded
from tests.support.servers import Server

SETUP = """
create schema app;
create schema away;
create table away.region (id int primary key);
create table app.place (id int primary key, region_id int references away.region on delete cascade);
insert into away.region values (1);
insert into app.place values (1, 1);
select audit.track('app.place');
create table app.tenant (id int primary key, name text not null, note text);
create table app.thing (
  id int primary key,
  tenant_id int references app.tenant on delete cascade,
  title text,
  state text not null default 'new',
  amount int,
  token text,
  seen int not null default 0
);
insert into app.tenant values (1, 'T1', 'n'), (2, 'T2', 'n');
insert into app.thing values (1, 1, 'one', 'new', 1, 'k1'), (2, 2, 'two', 'new', 2, 'k2');
select audit.track('app.tenant', item_label => 'name');
select audit.track('app.thing',
  item_label => $$t.name || ' ' || title$$,
  account => 'tenant_id',
  lookups => '{"t": "tenant_id"}',
  operational => '{seen}',
  secret => '{token}',
  actions => $$[
    {"action": "thing_created", "on": "insert"},
    {"action": "thing_closed", "on": "update", "columns": ["state"],
     "when": "new.state = 'closed'"},
    {"action": "thing_priced", "on": "update", "columns": ["amount"]},
    {"action": "thing_updated", "on": "update"},
    {"action": "thing_deleted", "on": "delete"}
  ]$$);
"""

# Statements that were right before the DDL and are right after it.
WRITES = [
    "insert into app.thing (id) values (3)",
    "update app.thing set id = id + 100 where id = 1",
    "update app.thing set id = id where id = 2",
    "delete from app.thing where id = 2",
]

# DDL on the tables above: the statement, then a write that shows what follows, and its log.
CHANGES: dict[str, tuple[str, str, list[tuple[str, dict[str, Any]]]]] = {
    "add a column": (
        "alter table app.thing add extra text default 'x'",
        "update app.thing set extra = 'y' where id = 1",
        [("thing_updated", {"extra": {"old": "x", "new": "y"}})],
    ),
    "add a generated column": (
        "alter table app.thing add twice int generated always as (amount * 2) stored",
        "update app.thing set amount = 5 where id = 1",
        [
            ("thing_priced", {"amount": {"old": 1, "new": 5}}),
            ("thing_updated", {"twice": {"old": 2, "new": 10}}),
        ],
    ),
    "rename an audited column": (
        "alter table app.thing rename title to headline",
        "update app.thing set headline = 'uno' where id = 1",
        [("thing_updated", {"headline": {"old": "one", "new": "uno"}})],
    ),
    "rename to a name that needs quotes": (
        'alter table app.thing rename title to "Head\'s ""line"""',
        'update app.thing set "Head\'s ""line""" = \'uno\' where id = 1',
        [("thing_updated", {'Head\'s "line"': {"old": "one", "new": "uno"}})],
    ),
    "rename an operational column": (
        "alter table app.thing rename seen to last_seen",
        "update app.thing set last_seen = 9, title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "rename a secret column": (
        "alter table app.thing rename token to password",
        "update app.thing set password = 'p' where id = 1",
        [("thing_updated", {"password": {"redacted": True}})],
    ),
    "rename a column that an action owns": (
        "alter table app.thing rename amount to price",
        "update app.thing set price = 5 where id = 1",
        [("thing_priced", {"price": {"old": 1, "new": 5}})],
    ),
    "rename a column of a condition": (
        "alter table app.thing rename state to status",
        "update app.thing set status = 'closed' where id = 1",
        [("thing_closed", {"status": {"old": "new", "new": "closed"}})],
    ),
    "rename the account and foreign key": (
        "alter table app.thing rename tenant_id to owner_id",
        "update app.thing set owner_id = 2 where id = 1",
        [("thing_updated", {"owner_id": {"old": 1, "new": 2}})] * 2,
    ),
    "rename the key": (
        "alter table app.thing rename id to number;alter table app.thing add id int default 7",
        "update app.thing set id = 8 where number = 1",
        [("thing_updated", {"id": {"old": 7, "new": 8}})],
    ),
    "swap the names of two columns": (
        (
            "alter table app.thing rename title to t; alter table app.thing rename state to title;"
            "alter table app.thing rename t to state"
        ),
        "update app.thing set title = 'closed', state = 'uno' where id = 1",
        [
            ("thing_closed", {"title": {"old": "new", "new": "closed"}}),
            ("thing_updated", {"state": {"old": "one", "new": "uno"}}),
        ],
    ),
    "retype an audited column": (
        "alter table app.thing alter title type varchar(40)",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "retype a column that an action owns": (
        "alter table app.thing alter amount type text using 'n' || amount",
        "update app.thing set amount = 'n5' where id = 1",
        [("thing_priced", {"amount": {"old": "n1", "new": "n5"}})],
    ),
    "retype the key": (
        "alter table app.thing alter id type bigint",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "retype to a type whose text depends on settings": (
        "alter table app.thing alter amount type interval using make_interval(hours => amount)",
        "set local intervalstyle = 'iso_8601'; update app.thing set amount = '2h' where id = 1",
        [("thing_priced", {"amount": {"old": "01:00:00", "new": "02:00:00"}})],
    ),
    "drop an audited column": (
        "alter table app.thing drop amount",
        "update app.thing set title = 'uno', state = 'closed' where id = 1",
        [
            ("thing_closed", {"state": {"old": "new", "new": "closed"}}),
            ("thing_updated", {"title": {"old": "one", "new": "uno"}}),
        ],
    ),
    "drop an operational column": (
        "alter table app.thing drop seen",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "drop a secret column": (
        "alter table app.thing drop token",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "drop a column of the label": (
        "alter table app.thing drop title",
        "update app.thing set amount = 5 where id = 1",
        [("thing_priced", {"amount": {"old": 1, "new": 5}})],
    ),
    "drop a column of a condition": (
        "alter table app.thing drop state cascade",
        "update app.thing set amount = 5, title = 'uno' where id = 1",
        [
            ("thing_priced", {"amount": {"old": 1, "new": 5}}),
            ("thing_updated", {"title": {"old": "one", "new": "uno"}}),
        ],
    ),
    "drop and add a column of the same name": (
        "alter table app.thing drop amount, add amount text default 'a'",
        "update app.thing set amount = 'b' where id = 1",
        [("thing_updated", {"amount": {"old": "a", "new": "b"}})],
    ),
    "rename the looked-up column": (
        "alter table app.tenant rename name to title",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "rename the looked-up key": (
        "alter table app.tenant rename id to number",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "rename the looked-up table": (
        "alter table app.tenant rename to customer",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "move the looked-up table": (
        "create schema other; alter table app.tenant set schema other",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "retype the looked-up column": (
        "alter table app.tenant alter name type varchar(50)",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "retype the looked-up key": (
        "alter table app.tenant alter id type bigint",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "add a column to the looked-up table": (
        "alter table app.tenant add title text",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "add a before trigger": (
        (
            "create function app.touch() returns trigger language plpgsql as"
            " $$ begin new.title := 'set'; return new; end $$;"
            "create trigger touch before update on app.thing for each row"
            " execute function app.touch()"
        ),
        "update app.thing set seen = seen + 1 where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "set"}})],
    ),
    "add and drop a before trigger": (
        (
            "create function app.touch() returns trigger language plpgsql as"
            " $$ begin new.title := 'set'; return new; end $$;"
            "create trigger touch before update on app.thing for each row"
            " execute function app.touch();"
            "drop trigger touch on app.thing"
        ),
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "drop the function of a before trigger": (
        (
            "create function app.touch() returns trigger language plpgsql as"
            " $$ begin return new; end $$;"
            "create trigger touch before update on app.thing for each row"
            " execute function app.touch();"
            "drop function app.touch() cascade"
        ),
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "change the primary key": (
        "alter table app.thing drop constraint thing_pkey, add primary key (id, state)",
        "update app.thing set title = 'uno' where id = 1",
        [("thing_updated", {"title": {"old": "one", "new": "uno"}})],
    ),
    "rename a table whose deletions cascade": (
        "alter table away.region rename to area",
        "delete from app.place",
        [("place_deleted", {"id": {"old": 1}, "region_id": {"old": 1}})],
    ),
    "rename the schema of a table whose deletions cascade": (
        "alter schema away rename to abroad",
        "delete from app.place",
        [("place_deleted", {"id": {"old": 1}, "region_id": {"old": 1}})],
    ),
    "drop the foreign key that nothing else needs": (
        (
            "alter table app.thing add ref int references app.thing;"
            "alter table app.thing drop constraint thing_ref_fkey"
        ),
        "update app.thing set ref = 2 where id = 1",
        [("thing_updated", {"ref": {"old": None, "new": 2}})],
    ),
}

LABELS = {
    "rename to a name that needs quotes": "T1 uno",
    "swap the names of two columns": "T1 uno",
    "drop a column of the label": None,
}


def short(rows: list[LogRow]) -> list[tuple[str, dict[str, Any] | None]]:
    return [(row.action, row.changes) for row in rows if not row.action.startswith("tracking_")]


@pytest.fixture(scope="module")
def app_template(server: Server, engine_template: str) -> Iterator[str]:
    """The name of a database that tracks app.thing, to clone.

    Refreshing recompiles every tracked table: there are only those of SETUP.
    """
    with _new_database(server, engine_template) as name:
        with psycopg.connect(server.url(name)) as conn:
            conn.execute(SETUP)
        yield name


@pytest.fixture(scope="module")
def bare_template(server: Server, app_template: str) -> Iterator[str]:
    """The name of such a database whose owner may create no event triggers, to clone."""
    with _new_database(server, app_template) as name:
        with psycopg.connect(server.url(name)) as conn:
            without_event_triggers(conn)
            conn.execute("select audit.refresh()")
        yield name


@pytest.fixture
def database(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    """The URL of a copy of app_template, or of what the test names, that is this test's own."""
    template = request.getfixturevalue(getattr(request, "param", "app_template"))
    with _new_database(server, template) as name:
        yield server.url(name)


@pytest.fixture
def app(connect: Connect) -> psycopg.Connection:
    """A session on a database that tracks app.thing and has written to it, plans and all."""
    conn = connect()
    warm_up(conn)
    return conn


def warm_up(conn: psycopg.Connection) -> None:
    """Write what every test writes, so that the session has the plans, and undo it."""
    for statement in WRITES:
        conn.execute(sql.SQL(statement))
    conn.execute("delete from app.place")
    conn.execute("update app.thing set title = 'x', state = 'closed', amount = 4, token = 'y'")
    conn.rollback()


def without_event_triggers(conn: psycopg.Connection) -> None:
    """Leave the database as one whose owner may create no event triggers."""
    conn.execute("drop event trigger audit_before_ddl; drop event trigger audit_after_ddl")
    conn.execute("select audit.refresh()")
    conn.commit()


@pytest.mark.parametrize("change", list(CHANGES))
def test_event_triggers_keep_the_log_right(
    app: psycopg.Connection, connect: Connect, change: str
) -> None:
    statement, write, expected = CHANGES[change]
    app.execute("insert into app.thing (id) values (9)")
    app.execute(sql.SQL(statement))
    check_writes(app, change, write, expected)
    app.execute(sql.SQL(statement))
    app.commit()
    check_writes(app, change, write, expected)
    check_writes(connect(), change, write, expected)


def check_writes(
    conn: psycopg.Connection, change: str, write: str, expected: list[tuple[str, dict[str, Any]]]
) -> None:
    """Check that the write is logged as expected and all others without an error."""
    with recorded(conn) as log:
        conn.execute(sql.SQL(write))
    assert short(log) == expected
    if change in LABELS:
        assert {row.item_label for row in log} == {LABELS[change]}
    if change != "rename the key":
        for statement in WRITES:
            with recorded(conn) as log:
                conn.execute(sql.SQL(statement))
            assert len(short(log)) == rows_of(statement, change)
    conn.rollback()


def rows_of(statement: str, change: str) -> int:
    """Return how many rows of the log one of WRITES gives: a new key is told on both sides."""
    if statement.startswith("update app.thing set id = id + 100"):
        return 2
    changes_nothing = statement.startswith("update app.thing set id = id where")
    return 0 if changes_nothing and change != "add a before trigger" else 1


@pytest.mark.parametrize("database", ["bare_template"], indirect=True)
@pytest.mark.parametrize("session", ["the same session", "a new session"])
@pytest.mark.parametrize("change", list(CHANGES))
def test_without_event_triggers_a_write_is_right_or_names_the_refresh(
    app: psycopg.Connection, connect: Connect, change: str, session: str
) -> None:
    statement, write, expected = CHANGES[change]
    app.execute(sql.SQL(statement))
    app.commit()
    writer = app if session == "the same session" else connect()
    for attempt in (write, *WRITES):
        if change == "rename the key" and attempt != write:
            continue
        right_or_refused(writer, change, attempt, expected if attempt == write else None)
    app.execute("select audit.refresh()")
    app.commit()
    check_writes(writer, change, write, expected)
    check_writes(app, change, write, expected)


def right_or_refused(
    conn: psycopg.Connection,
    change: str,
    statement: str,
    expected: list[tuple[str, dict[str, Any]]] | None,
) -> None:
    """Check that a statement is logged as expected, or fails and says what to do."""
    try:
        with recorded(conn) as log:
            conn.execute(sql.SQL(statement))
        if expected is not None:
            assert short(log) == expected
        else:
            assert len(short(log)) == rows_of(statement, change)
    except psycopg.Error as error:
        fields = (error.diag.message_hint, error.diag.message_detail, error.diag.context)
        said = " ".join(field for field in (str(error), *fields) if field)
        assert "audit.refresh(" in said
    conn.rollback()
