"""Settings of the actor that nobody checked: made by hand, or left over from a transaction."""

from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import pytest

from tests.conftest import Connect
from tests.support.helpers import new_log, newest

SEPARATOR = "\x1f"
# The setting, made of its fields by hand as by a client that wants to save itself the function.
SET: LiteralString = (
    "select set_config('audit.actor', concat(extract(epoch from current_timestamp), %s::text), {})"
)
SET_LOCAL = SET.format("true")
SET_SESSION = SET.format("false")

Who = tuple[str, str, str | None, dict[str, Any] | None]
Principal = tuple[str | None, str | None, str | None]
NOBODY: Principal = (None, None, None)


def made_of(*fields: str) -> str:
    return "".join(SEPARATOR + field for field in fields)


@pytest.fixture
def session(connect: Connect) -> psycopg.Connection:
    """A session on a database with two tracked tables, one of them in partitions."""
    found = connect()
    found.execute(
        "create table item (id integer primary key, name text);"
        "create table parted (id integer, region integer, name text, primary key (id, region))"
        "   partition by list (region);"
        "create table parted_1 partition of parted for values in (1);"
        "create table parted_2 partition of parted for values in (2);"
        "select audit.track('item'), audit.track('parted')"
    )
    found.commit()
    return found


# Every form that a compiled function has, and the rows that no compiled function writes.
WRITES: tuple[LiteralString, ...] = (
    "insert into item values (1, 'a'), (2, 'b')",
    "update item set name = 'c' where id = 1",
    "delete from item where id = 2",
    "insert into parted values (1, 1, 'a')",
    "update parted set region = 2",
    "delete from parted",
    "truncate item",
    "select audit.write_log_event('exported', null, '{}')",
)


def everywhere(session: psycopg.Connection, principal: Principal = NOBODY) -> Who:
    """Return the actor of rows of all forms, which is one and acts for `principal`."""
    found: list[Who] = []
    for statement in WRITES:
        mark = newest(session)
        session.execute(statement)
        rows = new_log(session, mark)
        assert rows, statement
        found += [(row.actor_type, row.actor_id, row.actor_label, row.context) for row in rows]
        assert {row.on_behalf_of for row in rows} == {principal}, statement
    assert found == [found[0]] * len(found)
    return found[0]


@pytest.mark.parametrize(
    ("fields", "label"),
    [(("user", "7"), None), (("user", "7", ""), None), (("user", "7", "Ana"), "Ana")],
)
def test_a_setting_made_by_hand_names_the_actor(
    session: psycopg.Connection, fields: tuple[str, ...], label: str | None
) -> None:
    session.execute(SET_LOCAL, [made_of(*fields)])
    assert everywhere(session) == ("user", "7", label, None)


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("",),
        ("user",),
        ("user", ""),
        ("user", "", "Ana", '{"a": 1}'),
        ("", "7"),
        ("", "7", "Ana", '{"a": 1}'),
        ("", "", ""),
        ("database", "postgres"),
        ("database", "root", "Root", '{"a": 1}'),
        ("database", ""),
    ],
    ids=repr,
)
def test_a_type_or_id_that_none_can_have_is_no_actor_as_a_whole(
    session: psycopg.Connection, fields: tuple[str, ...]
) -> None:
    session.execute(SET_LOCAL, [made_of(*fields)])
    assert everywhere(session) == ("database", session.info.user, None, None)


@pytest.mark.parametrize(
    ("context", "held"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{}", {}),
        (" {}", {}),
        ("  {}", {}),
        (" \n{}", {}),
        ("\t{}", {}),
        (" [1]", {"unreadable": [1]}),
        ("  [1]", {"unreadable": [1]}),
        ("  no json", {"unreadable": "  no json"}),
        ("[1]", {"unreadable": [1]}),
        ("null", None),
        ("false", {"unreadable": False}),
        ("5", {"unreadable": 5}),
        ('"x"', {"unreadable": "x"}),
        ("no json", {"unreadable": "no json"}),
        ('{"a": 1', {"unreadable": '{"a": 1'}),
        ('{"a": "\\u0000"}', {"unreadable": '{"a": "\\u0000"}'}),
        ('{"a": 1e999999}', {"unreadable": '{"a": 1e999999}'}),
        ("[" * 100_000, {"unreadable": "[" * 100_000}),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_context_that_is_no_object_is_kept_in_one(
    session: psycopg.Connection, context: str, held: dict[str, Any] | None
) -> None:
    session.execute(SET_LOCAL, [made_of("user", "7", "Ana", context)])
    assert everywhere(session) == ("user", "7", "Ana", held)


@pytest.mark.parametrize(
    ("fields", "principal"),
    [
        (("customer", "1"), ("customer", "1", None)),
        (("customer", "1", ""), ("customer", "1", None)),
        (("customer", "1", "Acme"), ("customer", "1", "Acme")),
        (("customer",), NOBODY),
        (("customer", "", "Acme"), NOBODY),
        (("", "1", "Acme"), NOBODY),
        (("", "", "Acme"), NOBODY),
        (("database", "postgres", "Root"), NOBODY),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    ("context", "held"),
    [
        ("null", None),
        ("  null", None),
        ('{"a": 1}', {"a": 1}),
        ('  {"a": 1}', {"a": 1}),
        ("no json", {"unreadable": "no json"}),
    ],
)
def test_whom_it_is_done_for_has_a_type_and_an_id(
    session: psycopg.Connection,
    fields: tuple[str, ...],
    principal: Principal,
    context: str,
    held: dict[str, Any] | None,
) -> None:
    session.execute(SET_LOCAL, [made_of("user", "7", "Ana", context, *fields)])
    assert everywhere(session, principal) == ("user", "7", "Ana", held)


def test_a_context_that_is_falsely_said_to_be_checked_fails_the_write(
    session: psycopg.Connection,
) -> None:
    for fields in (("user", "7", "", " {"), ("user", "7", "", "  {", "customer", "1")):
        session.execute(SET_LOCAL, [made_of(*fields)])
        with pytest.raises(psycopg.errors.InvalidTextRepresentation), session.transaction():
            session.execute("insert into item values (1)")


def by_hand(session: psycopg.Connection) -> None:
    session.execute(SET_SESSION, [made_of("user", "7", "Ana", '{"a": 1}')])


def without_a_stamp(session: psycopg.Connection) -> None:
    session.execute("set audit.actor = E'user\\x1f7\\x1fAna'")


def with_an_empty_stamp(session: psycopg.Connection) -> None:
    session.execute("set audit.actor = E'\\x1fuser\\x1f7\\x1fAna'")


@pytest.mark.parametrize("leave", [by_hand, without_a_stamp, with_an_empty_stamp])
def test_a_setting_of_the_session_names_nobody_in_a_later_transaction(
    session: psycopg.Connection, leave: Callable[[psycopg.Connection], None]
) -> None:
    leave(session)
    session.commit()
    assert everywhere(session) == ("database", session.info.user, None, None)
    session.rollback()
    session.execute("select audit.track('item', require_actor => true)")
    with pytest.raises(psycopg.Error) as refused, session.transaction():
        session.execute("insert into item values (1)")
    assert refused.value.sqlstate == "UA002"
    session.execute("select audit.set_actor('user', '8')")
    session.execute("insert into item values (1)")
