"""What audit.set_actor() takes: ids, labels and contexts of the types that applications have."""

import uuid
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.types.json import Json, Jsonb

from tests.support.helpers import new_log, newest

UUID = "00000000-0000-0000-0000-00000000002a"
Held = tuple[str, str, str | None, dict[str, Any] | None, tuple[str | None, ...]]
NOBODY = (None, None, None)


@pytest.fixture
def session(connection: psycopg.Connection) -> psycopg.Connection:
    """A session in a transaction, with a tracked table."""
    connection.execute("create table item (id integer primary key)")
    connection.execute("select audit.track('item')")
    return connection


def held(session: psycopg.Connection) -> Held:
    mark = newest(session)
    session.execute("insert into item select coalesce(max(id), 0) + 1 from item")
    (row,) = new_log(session, mark)
    return row.actor_type, row.actor_id, row.actor_label, row.context, row.on_behalf_of


A = {"a": 1}
CALLS: list[tuple[LiteralString, Held]] = [
    *(
        (f"'user', {given}", ("user", text, None, None, NOBODY))
        for given, text in (
            ("'7'", "7"),
            ("7", "7"),
            ("7::smallint", "7"),
            ("7::bigint", "7"),
            ("7::numeric", "7"),
            ("'7'::text", "7"),
            ("'7'::varchar", "7"),
            ("'7'::varchar(5)", "7"),
            ("'7'::char(1)", "7"),
            ("'7'::name", "7"),
            ("'7' collate \"C\"", "7"),
            (f"'{UUID}'::uuid", UUID),
        )
    ),
    ("'user'::varchar, '7'::varchar, 'Ana'::varchar", ("user", "7", "Ana", None, NOBODY)),
    ("'user'::name, 7, 'Ana'::name", ("user", "7", "Ana", None, NOBODY)),
    ("'user', '7', 'Ana'", ("user", "7", "Ana", None, NOBODY)),
    ("'user', 7, 'Ana'", ("user", "7", "Ana", None, NOBODY)),
    ("'user', 7, null", ("user", "7", None, None, NOBODY)),
    ("'user', 7, null, null", ("user", "7", None, None, NOBODY)),
    *(
        (f"'user', {number}, 'Ana', {context}", ("user", "7", "Ana", A, NOBODY))
        for number in ("'7'", "7")
        for context in (
            "'{\"a\": 1}'",
            "'{\"a\": 1}'::text",
            "'{\"a\": 1}'::varchar",
            "'{\"a\": 1}'::json",
            "'{\"a\": 1}'::jsonb",
            "jsonb_build_object('a', 1)",
            "json_build_object('a', 1)",
        )
    ),
    ("'user', 7, 'Ana', null::jsonb", ("user", "7", "Ana", None, NOBODY)),
    ("'user', 7, 'Ana', 'null'::json", ("user", "7", "Ana", None, NOBODY)),
    ("'user', 7, context => '{\"a\": 1}'", ("user", "7", None, A, NOBODY)),
    ("actor_id => 7, actor_type => 'user'", ("user", "7", None, None, NOBODY)),
    (
        "actor_id => 7, actor_type => 'user', actor_label => null, context => '{\"a\": 1}'::jsonb",
        ("user", "7", None, A, NOBODY),
    ),
    *(
        (
            f"'user', {number}, 'Ana', {context}, 'customer', {principal}",
            ("user", "7", "Ana", A, ("customer", text, None)),
        )
        for number in ("'7'", "7", "7::bigint")
        for context in ("'{\"a\": 1}'", "'{\"a\": 1}'::jsonb", "'{\"a\": 1}'::json")
        for principal, text in (
            ("'8'", "8"),
            ("'8'::varchar", "8"),
            ("8", "8"),
            ("8::bigint", "8"),
            (f"'{UUID}'::uuid", UUID),
        )
    ),
    (
        f"'agent', '{UUID}'::uuid, null, null, 'customer', 8, 'Acme'",
        ("agent", UUID, None, None, ("customer", "8", "Acme")),
    ),
    (
        (
            "actor_type => 'user', actor_id => 7, actor_label => null, context => null,"
            " on_behalf_of_type => 'customer', on_behalf_of_id => 8"
        ),
        ("user", "7", None, None, ("customer", "8", None)),
    ),
    ("'user', 7, 'Ana', null, null, null, null", ("user", "7", "Ana", None, NOBODY)),
]


def test_every_call_is_taken_by_one_function(session: psycopg.Connection) -> None:
    taken: list[tuple[str, Any]] = []
    for arguments, _ in CALLS:
        answer = session.execute(f"select audit.set_actor({arguments})".encode()).fetchone()
        assert answer == (True,), arguments
        taken.append((arguments, held(session)))
    assert taken == CALLS


PARAMETERS: list[tuple[list[Any], Held]] = [
    (["user", "7"], ("user", "7", None, None, NOBODY)),
    (["user", 7], ("user", "7", None, None, NOBODY)),
    (["user", 2**40], ("user", str(2**40), None, None, NOBODY)),
    (["user", uuid.UUID(UUID)], ("user", UUID, None, None, NOBODY)),
    (["user", 7, "Ana"], ("user", "7", "Ana", None, NOBODY)),
    (["user", 7, None, None], ("user", "7", None, None, NOBODY)),
    (["user", 7, "Ana", '{"a": 1}'], ("user", "7", "Ana", A, NOBODY)),
    (["user", 7, "Ana", Json(A)], ("user", "7", "Ana", A, NOBODY)),
    (["user", "7", "Ana", Jsonb(A)], ("user", "7", "Ana", A, NOBODY)),
    (
        ["user", 7, None, Jsonb(A), "customer", uuid.UUID(UUID), "Acme"],
        ("user", "7", None, A, ("customer", UUID, "Acme")),
    ),
    (["user", "7", None, None, "customer", 8], ("user", "7", None, None, ("customer", "8", None))),
]


@pytest.mark.parametrize("cursor", [psycopg.Cursor, psycopg.ClientCursor], ids=["server", "client"])
def test_parameters_are_taken_bound_by_the_server_and_by_the_client(
    session: psycopg.Connection, cursor: Any
) -> None:
    for values, expected in PARAMETERS:
        places = ", ".join(["%s"] * len(values))
        cursor(session).execute(f"select audit.set_actor({places})", values)
        assert held(session) == expected


def test_parameters_without_a_type_are_texts(session: psycopg.Connection) -> None:
    """So does a client ask that sends texts and lets the server say what they are."""
    for places in ("$1, $2", "$1, $2, $3", "$1, $2, $3, $4", "$1, $2, $3, $4, $5, $6, $7"):
        session.execute(f"prepare call as select audit.set_actor({places})".encode())
        (types,) = session.execute(
            "select parameter_types::text[] from pg_prepared_statements where name = 'call'"
        ).fetchone() or ([],)
        assert types == ["text"] * (places.count(",") + 1)
        session.execute("deallocate call")


def test_names_of_other_collations_are_taken(session: psycopg.Connection) -> None:
    session.execute(
        'create table person (kind text collate "C", id text collate "POSIX", name text)'
    )
    session.execute("insert into person values ('user', '7', 'Ana')")
    session.execute("select audit.set_actor(kind, id, name) from person")
    assert held(session) == ("user", "7", "Ana", None, NOBODY)
    session.execute("select audit.set_actor(kind, id, name, null, kind, id, name) from person")
    assert held(session) == ("user", "7", "Ana", None, ("user", "7", "Ana"))
    with pytest.raises(psycopg.Error, match="needs a type and an id"), session.transaction():
        session.execute("select audit.set_actor(kind, '', name) from person")


@pytest.mark.parametrize(
    "arguments",
    [
        "'user', '7'",
        "'user', 7",
        "'user', 7, 'Ana', '{}'",
        "'user', 7, 'Ana', '{}'::jsonb",
        "'user', 7, 'Ana', null, 'customer', '8'",
        f"'user', 7, 'Ana', '{{}}'::jsonb, 'customer', '{UUID}'::uuid",
    ],
)
def test_outside_a_transaction_every_call_is_an_error(
    connection: psycopg.Connection, arguments: LiteralString
) -> None:
    connection.autocommit = True
    with pytest.raises(psycopg.Error, match="outside a transaction") as refused:
        connection.execute(f"select audit.set_actor({arguments})".encode())
    assert refused.value.sqlstate == "UA006"
    connection.execute(f"do $$ begin perform audit.set_actor({arguments}); end $$".encode())


def test_a_context_that_is_no_json_is_refused(session: psycopg.Connection) -> None:
    for context in ("no json", ""):
        with pytest.raises(psycopg.Error) as refused, session.transaction():
            session.execute("select audit.set_actor('user', 7, null, %s)", [context])
        assert refused.value.sqlstate == "22P02"
    for wrong in ("5", "[]", '"x"'):
        with (
            pytest.raises(psycopg.Error, match="must be a JSON object") as refused,
            session.transaction(),
        ):
            session.execute("select audit.set_actor('user', 7, null, %s)", [wrong])
        assert refused.value.sqlstate == "UA005"
