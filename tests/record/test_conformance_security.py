"""Pitfalls of security, one short test for each; the attacks in depth are in test_security.py."""

from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect, CreateRole
from tests.support.helpers import Platform, new_log, newest, platform, recorded, value


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of everything, a superuser."""
    return connect()


@pytest.fixture
def core(owner: psycopg.Connection) -> Platform:
    return platform(owner)


@pytest.fixture
def writer(
    owner: psycopg.Connection, core: Platform, connect: Connect, create_role: CreateRole
) -> psycopg.Connection:
    """A session of a role that may write customers, and has a schema of its own."""
    role = create_role()
    statements: tuple[LiteralString, ...] = (
        "grant usage on schema licensing to {}",
        "grant select, insert, update, delete on licensing.customers to {}",
        "create schema own authorization {}",
    )
    for statement in statements:
        owner.execute(sql.SQL(statement).format(sql.Identifier(role)))
    owner.commit()
    return connect(user=role)


RENAME: LiteralString = "update licensing.customers set company_name = 'Renamed'"


def test_a_search_path_does_not_bring_code_into_the_log(
    owner: psycopg.Connection, writer: psycopg.Connection
) -> None:
    writer.execute(
        "create table own.log (like pg_class); create table own.seen (who name);"
        "create function own.current_setting(text, boolean) returns text language plpgsql as"
        " $$begin insert into own.seen values (current_user); return null; end$$"
    )
    writer.commit()
    mark = newest(owner)
    writer.execute("set search_path = own, pg_catalog, audit")
    writer.execute(RENAME)
    assert writer.execute("select who from own.seen").fetchall() == []
    writer.commit()
    assert [row.action for row in new_log(owner, mark)] == ["customer_updated"]


def test_a_temporary_table_does_not_swallow_the_log(
    owner: psycopg.Connection, writer: psycopg.Connection
) -> None:
    mark = newest(owner)
    writer.execute("create temp table log (action text, item_type text)")
    writer.execute("create temp table tracked (id integer)")
    writer.execute(RENAME)
    assert value(writer, "select count(*) from pg_temp.log") == 0
    writer.commit()
    assert [row.action for row in new_log(owner, mark)] == ["customer_updated"]


def test_no_compiled_function_asks_a_setting_whether_to_record(
    owner: psycopg.Connection,
) -> None:
    """The settings they read name the actor or hand over a row: garbage in test_security.py.

    Whether PostgreSQL counts deletions is up to superusers; without, parents are looked for always.
    """
    asked = owner.execute(
        "select distinct m[1] from pg_proc as p,"
        " regexp_matches(p.prosrc, 'current_setting\\(''([^'']+)''', 'g') as m"
        " where p.pronamespace = 'audit'::regnamespace and p.prorettype = 'trigger'::regtype"
        " order by 1"
    ).fetchall()
    assert asked == [
        ("application_name",),
        ("audit.actor",),
        ("audit.departed",),
        ("track_counts",),
    ]


def test_a_claimed_actor_stands_beside_what_the_server_knows(
    owner: psycopg.Connection, writer: psycopg.Connection
) -> None:
    mark = newest(owner)
    owner.commit()
    writer.execute("set application_name = 'a claim too'")
    writer.execute("select audit.set_actor('platform_user', '1', 'the boss')")
    writer.execute(RENAME)
    writer.commit()
    (row,) = new_log(owner, mark)
    assert (row.actor, row.db_role) == ("platform_user:1", writer.info.user)
    assert row.tx > 0


def test_another_role_taken_on_does_not_hide_the_login(
    owner: psycopg.Connection, writer: psycopg.Connection, create_role: CreateRole
) -> None:
    group = create_role("nologin")
    for statement in (
        "grant {group} to {login}",
        "grant usage on schema licensing to {group}",
        "grant select, update on licensing.customers to {group}",
    ):
        owner.execute(
            sql.SQL(statement).format(
                group=sql.Identifier(group), login=sql.Identifier(writer.info.user)
            )
        )
    mark = newest(owner)
    owner.commit()
    writer.execute(sql.SQL("set role {}").format(sql.Identifier(group)))
    writer.execute(RENAME)
    writer.commit()
    (row,) = new_log(owner, mark)
    assert (row.db_role, row.actor) == (writer.info.user, f"database:{writer.info.user}")


@pytest.mark.parametrize(
    "statement",
    [
        (
            "insert into audit.log (action, item_type, item_id, actor_type, actor_id, db_role)"
            " values ('a', 'b', 'c', 'd', 'e', 'f')"
        ),
        "select audit.write_table_event('table_truncated', 'x', null)",
        "select audit.untrack('licensing.customers')",
        "alter table licensing.customers disable trigger all",
        "drop trigger _audit_update on licensing.customers",
        "set session_replication_role = replica",
    ],
)
def test_a_writer_can_neither_forge_nor_switch_off(
    writer: psycopg.Connection, statement: LiteralString
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute(statement)


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(
    "statement",
    ["update audit.log set action = 'x'", "delete from audit.log", "truncate audit.log"],
)
def test_append_only_holds_for_the_owner_in_every_mode(
    owner: psycopg.Connection, core: Platform, role: LiteralString, statement: LiteralString
) -> None:
    owner.execute(sql.SQL("set session_replication_role = {}").format(sql.SQL(role)))
    with pytest.raises(psycopg.Error, match="append-only") as refused:
        owner.execute(statement)
    assert refused.value.sqlstate == "UA004"


def test_the_text_of_a_statement_is_nowhere_in_the_log(
    owner: psycopg.Connection, core: Platform
) -> None:
    mark = newest(owner)
    owner.execute(
        "update licensing.platform_users set password_hash = 's3cret' /* c4nary */"
        " where email <> 'wh3re'"
    )
    rows = [
        text
        for (text,) in owner.execute("select l::text from audit.log as l where id > %s", (mark,))
    ]
    assert len(rows) == 2
    for canary in ("s3cret", "c4nary", "wh3re"):
        assert not any(canary in text for text in rows)


@pytest.mark.parametrize("text", ["%", "%s", "%%", "'; --", "*/", "$$", "\\", ":x", "{}", "\x1f"])
def test_comments_and_values_are_never_code(
    owner: psycopg.Connection, core: Platform, text: str
) -> None:
    comment = text.replace("*/", "* /")
    owner.execute("select audit.set_actor(%s, %s, %s)", ("user" + text, "7" + text, text))
    with recorded(owner) as rows:
        owner.execute(
            sql.SQL("update licensing.customers set email = {} /* {} */ -- {}").format(
                sql.Literal(text),
                sql.SQL(comment),
                sql.SQL(comment),
            )
        )
    (row,) = rows
    assert (row.item_label, row.changes) == (
        text,
        {"email": {"old": "buyer@x.example", "new": text}},
    )
    held = text.replace("\x1f", "")
    assert (row.actor, row.actor_label) == (f"user{held}:7{held}", held or None)


def test_row_security_on_an_audited_table_does_not_blind_the_log(
    owner: psycopg.Connection, writer: psycopg.Connection
) -> None:
    owner.execute(
        "alter table licensing.customers enable row level security;"
        "create policy all_rows on licensing.customers using (true)"
    )
    mark = newest(owner)
    owner.commit()
    writer.execute(RENAME)
    writer.commit()
    assert [row.action for row in new_log(owner, mark)] == ["customer_updated"]


def test_a_role_without_the_right_to_read_is_recorded(
    owner: psycopg.Connection, writer: psycopg.Connection
) -> None:
    login = sql.Identifier(writer.info.user)
    owner.execute(sql.SQL("revoke all on licensing.customers from {}").format(login))
    owner.execute(sql.SQL("grant update (phone) on licensing.customers to {}").format(login))
    mark = newest(owner)
    owner.commit()
    writer.execute("update licensing.customers set phone = '1'")
    writer.commit()
    (row,) = new_log(owner, mark)
    assert row.changes == {"phone": {"old": None, "new": "1"}}
    assert row.item_label == "buyer@x.example"
