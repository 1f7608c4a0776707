"""What a declaration was bound to changes later: writes go on as bound, and check() tells of it."""

from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql

import auditdb
from tests.conftest import CreateRole
from tests.support.helpers import recorded, value

TABLES = """
create schema app;
create function app.name(t text) returns text language sql immutable as $$ select 'n:' || t $$;
create function app.is_loud(t text) returns boolean language sql immutable
  as $$ select t = upper(t) $$;
create table app.note (id integer primary key, title text);
create table app.memo (id integer primary key, title text);
create table app.plain (id integer primary key, title text);
"""
TRACK = """
select audit.track('app.plain', item_label => 'title');
select audit.track('app.note', item_label => 'app.name(title)');
select audit.track('app.memo', actions =>
  '[{"action": "shouted", "on": "update", "when": "app.is_loud(new.title)"}]');
"""


@pytest.fixture
def owner(engine_database: str) -> Any:
    """A session of the log's owner, who has bound two tables to functions of its own."""
    with closing(psycopg.connect(engine_database, autocommit=True)) as session:
        session.execute(TABLES)
        session.execute(TRACK)
        session.execute("insert into app.memo values (1, 'a')")
        yield session


def labels(session: psycopg.Connection, *ids: int) -> list[str | None]:
    """Insert notes, and return the labels that the log gives them."""
    with recorded(session) as rows:
        for number in ids:
            session.execute("insert into app.note values (%s, 'x')", (number,))
    return [row.item_label for row in rows]


def broken(session: psycopg.Connection) -> list[tuple[str, str]]:
    """Return what check() finds, with the message, but for actors that nobody named."""
    return [(f.object, f.message) for f in auditdb.check(session) if f.finding != "actor_missing"]


def test_what_one_table_is_bound_to_leaves_the_others_as_they_are(
    owner: psycopg.Connection,
) -> None:
    """What is compiled for one table is no part of the compiler, which all are compared with."""
    assert broken(owner) == []
    assert owner.execute("select audit.refresh()").fetchall() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("alter function app.name(text) owner to {0}", "belongs to auditdb_"),
        ("alter function app.name(text) volatile", "is volatile"),
        ("revoke execute on function app.name(text) from public", "may not execute"),
    ],
    ids=["owner", "volatile", "right"],
)
def test_a_function_that_changes_is_told_of_and_can_be_changed_back(
    owner: psycopg.Connection, create_role: CreateRole, change: str, says: str
) -> None:
    assert labels(owner, 1) == ["n:x"]
    role = sql.Identifier(create_role())
    owner.execute(sql.SQL(change).format(role))
    ((table, message),) = broken(owner)
    assert table == "app.note"
    assert "item_label" in message
    assert "app.name(text)" in message
    assert says in message
    # Nothing is compiled anew, so nothing is lost; what would have to be, is refused and says why.
    assert owner.execute("select audit.refresh()").fetchall() == []
    with pytest.raises(psycopg.Error, match=r"app\.name") as refused:
        owner.execute("alter table app.note add column extra text")
    assert refused.value.sqlstate == "UA005"
    owner.execute(
        "alter function app.name(text) owner to current_user;"
        "alter function app.name(text) immutable;"
        "grant execute on function app.name(text) to public"
    )
    assert broken(owner) == []
    assert labels(owner, 2) == ["n:x"]


@pytest.mark.parametrize("change", ["owner to {0}", "volatile"])
def test_writes_go_on_as_they_were_bound(
    owner: psycopg.Connection, engine_database: str, create_role: CreateRole, change: str
) -> None:
    assert labels(owner, 1) == ["n:x"]
    role = sql.Identifier(create_role())
    owner.execute(sql.SQL(f"alter function app.name(text) {change}").format(role))
    owner.execute(sql.SQL(f"alter function app.is_loud(text) {change}").format(role))
    with closing(psycopg.connect(engine_database, autocommit=True)) as fresh:
        for number, session in enumerate((owner, fresh), start=2):
            assert labels(session, number) == ["n:x"]
            with recorded(session) as rows:
                session.execute("update app.memo set title = %s", (f"A{number}",))
                session.execute("update app.memo set title = 'a'")
            assert [row.action for row in rows] == ["shouted"]
    assert [table for table, _ in broken(owner)] == ["app.note", "app.memo"]


def test_a_name_that_comes_to_mean_something_else_changes_nothing(
    owner: psycopg.Connection,
) -> None:
    """The function is kept, not its name: another of that name is not the one that was bound."""
    owner.execute(
        "alter function app.name(text) rename to name_before;"
        "create function app.name(t text) returns text language sql immutable"
        " as $$ select 'other:' || t $$"
    )
    assert labels(owner, 1) == ["n:x"]
    assert broken(owner) == []


def test_a_new_body_of_the_owner_s_own_function_is_the_one_that_runs(
    owner: psycopg.Connection,
) -> None:
    assert labels(owner, 1) == ["n:x"]
    owner.execute(
        "create or replace function app.name(t text) returns text language sql immutable"
        " as $$ select 'm:' || t $$"
    )
    assert labels(owner, 2) == ["m:x"]
    assert broken(owner) == []


def test_a_function_is_not_dropped_by_the_way_and_if_it_is_check_tells(
    owner: psycopg.Connection,
) -> None:
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        owner.execute("drop function app.name(text)")
    owner.execute("drop function app.name(text) cascade")
    # Never a row of the table without one of the log: the write is refused.
    with pytest.raises(psycopg.errors.UndefinedFunction, match=r"audit\.app_note_x"):
        owner.execute("insert into app.note values (1, 'x')")
    assert value(owner, "select count(*) from app.note") == 0
    found = dict(broken(owner))
    assert "item_label: what it uses was dropped" in found["app.note"]
    with pytest.raises(psycopg.Error, match=r"app\.name") as refused:
        owner.execute("select audit.refresh('app.note')")
    assert refused.value.sqlstate == "UA005"
    owner.execute(
        "create function app.name(t text) returns text language sql immutable"
        " as $$ select 'new:' || t $$;"
        "select audit.refresh('app.note')"
    )
    assert broken(owner) == []
    assert labels(owner, 1) == ["new:x"]
