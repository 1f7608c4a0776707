"""Who did it: the actor of the transaction, or the login role where none was named."""

from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Connect, CreateRole
from tests.support.helpers import LogRow, new_log, newest, platform, recorded

CALL: LiteralString = "update licensing.customers set phone = coalesce(phone, '') || '1'"
SET_ACTOR: LiteralString = "select audit.set_actor(%s, %s, %s, %s)"


@pytest.fixture
def writer(connect: Connect) -> psycopg.Connection:
    """A session of its own on a database with the small vendor in it."""
    session = connect()
    platform(session)
    session.commit()
    return session


def who(conn: psycopg.Connection) -> tuple[str, str, str | None, dict[str, Any] | None]:
    """Let the actor do something, and return what the log says of the actor."""
    with recorded(conn) as found:
        conn.execute(CALL)
    (row,) = found
    return actor_of(row)


def actor_of(row: LogRow) -> tuple[str, str, str | None, dict[str, Any] | None]:
    return row.actor_type, row.actor_id, row.actor_label, row.context


def database(conn: psycopg.Connection) -> tuple[str, str, None, None]:
    return "database", conn.info.user, None, None


def test_without_an_actor_it_is_the_database_and_the_login_role(
    connect: Connect, create_role: CreateRole
) -> None:
    owner, role, other = connect(), create_role(), create_role("nologin")
    platform(owner)
    owner.execute(
        f"grant usage on schema licensing to {role}, {other};"
        f"grant select, update on licensing.customers to {role}, {other};"
        f"grant {other} to {role}".encode()
    )
    owner.commit()
    mark = newest(owner)
    writer = connect(user=role, application_name="billing é")
    writer.execute(CALL)
    writer.execute(f"set role {other}".encode())
    writer.execute(CALL)
    writer.commit()
    owner.commit()
    assert [
        (row.actor_type, row.actor_id, row.actor_label, row.context, row.db_role)
        for row in new_log(owner, mark)
    ] == [("database", role, None, None, role)] * 2


@pytest.mark.parametrize("name", ["billing", ""])
def test_the_role_and_the_application_stand_beside_the_actor(connect: Connect, name: str) -> None:
    writer = connect(application_name=name)
    platform(writer)
    writer.execute(SET_ACTOR, ["api_key", "k-1", None, None])
    with recorded(writer) as found:
        writer.execute(CALL)
        writer.execute("set application_name = 'renamed'")
        writer.execute(CALL)
    assert [(row.actor, row.db_role, row.application) for row in found] == [
        ("api_key:k-1", writer.info.user, name),
        ("api_key:k-1", writer.info.user, "renamed"),
    ]


@pytest.mark.parametrize(
    ("actor_type", "label", "context"),
    [
        ("platform_user", "ana@x.example", {"request_id": "r-1", "ip": "192.0.2.1"}),
        ("api_key", None, None),
        ("license_manager", " ", {}),
        ("end_user", "NULL", {"nested": {"a": [1, None, "{}"]}, "quote": "\"'\\"}),
        ("integration", 'a "quoted", {braced} \\ label', {"é": "\n"}),
        ("system", "two\nlines\tand é 😀", None),
        ("robot; drop table", "'", {"": ""}),
    ],
)
def test_an_actor_is_logged_as_it_was_named(
    connection: psycopg.Connection,
    actor_type: str,
    label: str | None,
    context: dict[str, Any] | None,
) -> None:
    platform(connection)
    given = None if context is None else Jsonb(context)
    connection.execute(SET_ACTOR, [actor_type, "4/2, {x}", label, given])
    assert who(connection) == (actor_type, "4/2, {x}", label, context)


def test_label_and_context_may_be_left_out(connection: psycopg.Connection) -> None:
    platform(connection)
    connection.execute("select audit.set_actor('system', 'nightly')")
    assert who(connection) == ("system", "nightly", None, None)
    connection.execute("select audit.set_actor('system', 'nightly', context => 'null')")
    assert who(connection) == ("system", "nightly", None, None)
    connection.execute("select audit.set_actor('system', 'nightly', context => '{\"n\": 1}')")
    assert who(connection) == ("system", "nightly", None, {"n": 1})


def test_an_empty_label_is_none(connection: psycopg.Connection) -> None:
    platform(connection)
    connection.execute(SET_ACTOR, ["api_key", "k-1", "", None])
    assert who(connection) == ("api_key", "k-1", None, None)


def test_separators_and_control_characters_move_nothing_between_the_fields(
    connection: psycopg.Connection,
) -> None:
    platform(connection)
    forged = {"a\x1fb": "\x1f\x01", "c": "\x1e,"}
    connection.execute(SET_ACTOR, ["api\x1f_key", "k\x1f1\x1e", "\x1fAna\x1f{}", Jsonb(forged)])
    assert who(connection) == ("api_key", "k1\x1e", "Ana{}", forged)


def test_every_row_of_every_statement_has_the_actor_of_its_time(
    connection: psycopg.Connection,
) -> None:
    p = platform(connection)
    with recorded(connection) as found:
        connection.execute(SET_ACTOR, ["platform_user", "1", "Ana", None])
        connection.execute(
            "insert into licensing.customers (account_id, email)"
            " select %s, n::text from generate_series(1, 3) as n",
            [p.account],
        )
        connection.execute("update licensing.product_features set name = 'x'")
        connection.execute("delete from licensing.memberships")
        connection.execute(SET_ACTOR, ["platform_user", "2", None, None])
        connection.execute("truncate licensing.devices")
        connection.execute("update licensing.licenses set is_enabled = false, note = 'x'")
    assert [(row.actor, row.actor_label) for row in found] == [
        *[("platform_user:1", "Ana")] * 6,
        *[("platform_user:2", None)] * 3,
    ]


def test_a_commit_or_a_rollback_ends_the_actor(writer: psycopg.Connection) -> None:
    for end in (writer.commit, writer.rollback):
        writer.execute(SET_ACTOR, ["platform_user", "1", "Ana", None])
        assert who(writer) == ("platform_user", "1", "Ana", None)
        end()
        assert who(writer) == database(writer)
        writer.rollback()


def test_a_session_without_transactions_keeps_no_actor(writer: psycopg.Connection) -> None:
    writer.autocommit = True
    with writer.transaction():
        writer.execute(SET_ACTOR, ["platform_user", "1", "Ana", None])
        assert who(writer) == ("platform_user", "1", "Ana", None)
    assert who(writer) == database(writer)


def test_a_rolled_back_savepoint_brings_the_former_actor_back(
    connection: psycopg.Connection,
) -> None:
    platform(connection)
    connection.execute(SET_ACTOR, ["platform_user", "1", "Ana", None])
    with connection.transaction(force_rollback=True):
        connection.execute(SET_ACTOR, ["api_key", "k-1", None, None])
        assert who(connection) == ("api_key", "k-1", None, None)
    assert who(connection) == ("platform_user", "1", "Ana", None)
    with connection.transaction():
        connection.execute(SET_ACTOR, ["api_key", "k-1", None, None])
    assert who(connection) == ("api_key", "k-1", None, None)


FOR_SOMEBODY: LiteralString = "select audit.set_actor(%s, %s, null, %s, %s, %s, %s)"


@pytest.mark.parametrize("context", [None, {"request_id": "r-1"}])
@pytest.mark.parametrize("label", [None, "", "Acme é"])
def test_whom_an_actor_acts_for_is_logged_beside_it(
    connection: psycopg.Connection, context: dict[str, Any] | None, label: str | None
) -> None:
    platform(connection)
    given = None if context is None else Jsonb(context)
    with recorded(connection) as found:
        connection.execute(FOR_SOMEBODY, ["api_key", "k-1", given, "customer", "1", label])
        connection.execute(CALL)
        connection.execute("delete from licensing.memberships")
        connection.execute("truncate licensing.devices")
        connection.execute(SET_ACTOR, ["api_key", "k-1", None, None])
        connection.execute(CALL)
    assert {(row.actor, row.context) for row in found[:-1] if row.context is None} == (
        {("api_key:k-1", None)} if context is None else set()
    )
    assert len(found) > 3
    assert [row.on_behalf_of for row in found] == [
        *[("customer", "1", label or None)] * (len(found) - 1),
        (None, None, None),
    ]


@pytest.mark.parametrize(
    ("principal", "words"),
    [
        (("customer", None, None), "acts on behalf of needs a type and an id"),
        (("customer", "", "Acme"), "acts on behalf of needs a type and an id"),
        (("customer", "\x1f", "Acme"), "acts on behalf of needs a type and an id"),
        ((None, "1", None), "acts on behalf of needs a type and an id"),
        ((None, None, "Acme"), "acts on behalf of needs a type and an id"),
        (("database", "postgres", None), "without an actor"),
        (("x" * 101, "1", None), "the type of whom .* longer than 100"),
        (("customer", "x" * 256, None), "the id of whom .* longer than 255"),
        (("customer", "1", "x" * 501), "the label of whom .* longer than 500"),
    ],
)
def test_whom_an_actor_acts_for_is_whole_or_refused(
    connection: psycopg.Connection, principal: tuple[str | None, ...], words: str
) -> None:
    with pytest.raises(psycopg.Error, match=words) as refused:
        connection.execute(FOR_SOMEBODY, ["api_key", "k-1", None, *principal])
    assert refused.value.sqlstate == "UA005"


@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_the_longest_names_fit_into_every_index_and_longer_ones_are_refused(
    connection: psycopg.Connection, character: str
) -> None:
    platform(connection)
    longest = [character * 100, character * 255, character * 500, None]
    connection.execute(SET_ACTOR, longest)
    assert who(connection) == (*longest[:3], None)
    for place, name in enumerate(("type", "id", "label")):
        longer = [*longest[:place], f"{longest[place]}{character}", *longest[place + 1 :]]
        with (
            pytest.raises(psycopg.Error, match=f"{name} of an actor is longer") as refused,
            connection.transaction(),
        ):
            connection.execute(SET_ACTOR, longer)
        assert refused.value.sqlstate == "UA005"
    assert who(connection) == (*longest[:3], None)


# What set_actor refuses


@pytest.mark.parametrize(
    ("actor_type", "actor_id", "context", "words"),
    [
        ("platform_user", "", None, "needs a type and an id"),
        ("platform_user", None, None, "needs a type and an id"),
        ("", "1", None, "needs a type and an id"),
        (None, "1", None, "needs a type and an id"),
        ("\x1f", "1", None, "needs a type and an id"),
        ("platform_user", "\x1f", None, "needs a type and an id"),
        ("database", "postgres", None, "without an actor"),
        ("data\x1fbase", "postgres", None, "without an actor"),
        ("platform_user", "1", [], "JSON object, not array"),
        ("platform_user", "1", "canary", "JSON object, not string"),
        ("platform_user", "1", 1, "JSON object, not number"),
        ("platform_user", "1", False, "JSON object, not boolean"),
    ],
)
def test_an_incomplete_actor_is_refused_and_the_former_one_stays(
    connection: psycopg.Connection,
    actor_type: str | None,
    actor_id: str | None,
    context: object,
    words: str,
) -> None:
    platform(connection)
    connection.execute(SET_ACTOR, ["system", "former", None, None])
    given = None if context is None else Jsonb(context)
    with pytest.raises(psycopg.Error, match=words) as refused, connection.transaction():
        connection.execute(SET_ACTOR, [actor_type, actor_id, None, given])
    assert refused.value.sqlstate == "UA005"
    assert "canary" not in str(refused.value)
    assert who(connection) == ("system", "former", None, None)


def test_outside_a_transaction_it_says_what_to_do(writer: psycopg.Connection) -> None:
    writer.autocommit = True
    with pytest.raises(psycopg.Error, match="outside a transaction") as refused:
        writer.execute("select audit.set_actor('platform_user', '1')")
    assert refused.value.sqlstate == "UA006"
    assert "Begin a transaction" in (refused.value.diag.message_hint or "")
    assert who(writer) == database(writer)


def test_outside_a_transaction_it_lasts_no_longer_than_its_statement(
    writer: psycopg.Connection,
) -> None:
    writer.autocommit = True
    # Parse, bind and execute each have a time of their own: the server cannot tell them from BEGIN.
    writer.execute("select audit.set_actor('platform_user', %s)", ["1"])
    assert who(writer) == database(writer)


@pytest.mark.parametrize(
    "statements",
    [
        "select audit.set_actor('system', '1'); {call}",
        "begin; select audit.set_actor('system', '1'); {call}; commit",
        "do $$ begin perform audit.set_actor('system', '1'); {call}; end $$",
    ],
    ids=["implicit transaction", "one message", "block of code"],
)
def test_one_message_may_set_the_actor_and_write(
    writer: psycopg.Connection, statements: str
) -> None:
    writer.autocommit = True
    with recorded(writer) as found:
        writer.execute(statements.replace("{call}", CALL).encode())
    (row,) = found
    assert actor_of(row) == ("system", "1", None, None)
    assert who(writer) == database(writer)
