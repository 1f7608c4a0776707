"""The values of secret columns are nowhere that auditdb writes: a canary is looked for in all.

What PostgreSQL itself says of a failed constraint of the application's own tables ("Failing row
contains …") goes to whoever wrote the row, and is not auditdb's to change. What auditdb raises,
and what it passes on to its own users, holds no value of a row.
"""

import os
import re
import subprocess
import sys
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from auditdb import errors
from tests.conftest import Connect
from tests.support.helpers import Platform, platform, recorded, value

CANARY = "c4nary-s3cret"
# The last 4 characters of a license key are its label, by design.
KEY = f"{CANARY}-0000"


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session in autocommit mode: what it writes can be read by others."""
    return connect(autocommit=True)


@pytest.fixture
def core(owner: psycopg.Connection) -> Platform:
    made = platform(owner)
    owner.execute("update licensing.licenses set license_key = %s", (KEY,))
    owner.execute(
        "insert into licensing.license_user_assignments (license_id, license_user_id)"
        " values (%s, %s)",
        (made.license, made.license_user),
    )
    return made


def settings_of_audit(conn: psycopg.Connection) -> list[str]:
    """Return the names of all settings in audit.* that any function of the schema mentions."""
    sources = conn.execute(
        "select prosrc from pg_proc where pronamespace = 'audit'::regnamespace"
    ).fetchall()
    return sorted({name for (text,) in sources for name in re.findall(r"'(audit\.\w+)'", text)})


def everything(conn: psycopg.Connection) -> dict[str, str]:
    """Return all that auditdb keeps, as text: tables, views, functions, settings of the session."""
    kept = {}
    relations = conn.execute(
        "select n.nspname, c.relname from pg_class as c"
        " join pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname = 'audit' and c.relkind in ('r', 'p', 'v')"
        "   or n.nspname = 'licensing' and c.relkind = 'v'"
    ).fetchall()
    assert len(relations) > 10
    for schema, name in relations:
        rows = conn.execute(
            sql.SQL("select t::text from {} as t").format(sql.Identifier(schema, name))
        ).fetchall()
        kept[f"{schema}.{name}"] = "\n".join(row[0] for row in rows)
    for name in settings_of_audit(conn):
        kept[f"setting {name}"] = (
            value(conn, "select coalesce(current_setting(%s, true), '')", name) or ""
        )
    kept["functions"] = value(
        conn,
        "select string_agg(prosrc, '') from pg_proc where pronamespace = 'audit'::regnamespace",
    )
    return kept


def places_with(canary: str, conn: psycopg.Connection) -> list[str]:
    return [place for place, text in everything(conn).items() if canary in text]


def said(error: psycopg.Error) -> str:
    """Return all that the server said with an error."""
    diag = error.diag
    parts = (
        *(str(error), diag.message_primary, diag.message_detail, diag.message_hint, diag.context),
        *(diag.internal_query, diag.constraint_name, diag.column_name),
    )
    return "\n".join(part for part in parts if part)


WRITES: dict[str, LiteralString] = {
    "insert a person": (
        "insert into licensing.platform_users (email, password_hash) values ('c@x.example', {})"
    ),
    "update a person": "update licensing.platform_users set password_hash = {}, phone = '1'",
    "update a person alone": "update licensing.platform_users set password_hash = {}",
    "delete people": (
        "with left_ as (delete from licensing.memberships) delete from licensing.platform_users"
    ),
    "insert a license": (
        "insert into licensing.licenses (account_id, product_id, order_id, license_key)"
        " select account_id, product_id, order_id, {} || '-0000' from licensing.licenses"
    ),
    "update a license": "update licensing.licenses set license_key = {} || '-0000', note = 'n'",
    "disable a license": (
        "update licensing.licenses set license_key = {} || '-0000', is_enabled = false"
    ),
    "delete a license": "delete from licensing.licenses",
    "delete an order": "delete from licensing.orders",
    "unassign": "delete from licensing.license_user_assignments",
    "insert a license user": (
        "insert into licensing.license_users (account_id, email, initial_password)"
        " select id, 'u@x.example', {} from licensing.accounts"
    ),
    "update a license user": "update licensing.license_users set initial_password = {}",
    "delete a license user": (
        "with gone as (delete from licensing.license_user_assignments)"
        " delete from licensing.license_users"
    ),
    "upsert a person": (
        "insert into licensing.platform_users (email, password_hash)"
        " select email, {} from licensing.platform_users"
        " on conflict (email) do update set password_hash = excluded.password_hash, phone = '2'"
    ),
    "merge licenses": (
        "merge into licensing.licenses as l using (select {} || '-0000' as key) as s on true"
        " when matched then update set license_key = s.key, note = 'm'"
    ),
}


# Of these people the log records other things: memberships, assignments.
NO_ACTION = {"insert a person", "insert a license user", "update a license user"}


@pytest.mark.parametrize("write", WRITES)
def test_a_secret_is_nowhere(owner: psycopg.Connection, core: Platform, write: str) -> None:
    owner.execute("update licensing.platform_users set password_hash = %s", (CANARY,))
    owner.execute("update licensing.license_users set initial_password = %s", (CANARY,))
    statement = sql.SQL(WRITES[write]).format(sql.Literal(f"new-{CANARY}"))
    # In one transaction, so that what a setting of the transaction keeps is still there.
    with owner.transaction():
        owner.execute("select audit.set_actor('platform_user', '7', 'ana')")
        with recorded(owner) as rows:
            owner.execute(statement)
        assert rows or write in NO_ACTION
        assert places_with(CANARY, owner) == []
    assert places_with(CANARY, owner) == []


def test_the_search_finds_what_is_there(owner: psycopg.Connection, core: Platform) -> None:
    """A canary that is no secret is found in the log, in views, in the catalogue, in settings."""
    owner.execute("select audit.track('licensing.license_users', item_label => %s)", (
        f"email || '{CANARY}'",
    ))  # fmt: skip
    owner.execute("update licensing.licenses set note = %s", (CANARY,))
    with owner.transaction():
        owner.execute("select set_config('audit.departed', %s, true)", (CANARY,))
        found = places_with(CANARY, owner)
    assert {
        *("audit.log", "audit.events", "audit.changes", "audit.tracked", "functions"),
        *("licensing.license_log", "setting audit.departed"),
    } <= set(found)


def test_a_secret_is_recorded_as_changed(owner: psycopg.Connection, core: Platform) -> None:
    with recorded(owner) as rows:
        owner.execute("update licensing.licenses set license_key = %s", (f"x{KEY}",))
        owner.execute("update licensing.licenses set license_key = license_key")
    assert [(row.action, row.item_label, row.changes) for row in rows] == [
        ("license_updated", "0000", {"license_key": {"redacted": True}})
    ]


def test_a_lookup_that_a_cascade_hides_leaves_no_secret_in_a_setting(
    owner: psycopg.Connection, core: Platform
) -> None:
    """Also where the child is a partitioned table, whose rows are recorded one by one."""
    owner.execute(
        "create table public.usage (license_id bigint references licensing.licenses"
        "   on delete cascade, day date, primary key (license_id, day)) partition by range (day);"
        "create table public.usage_all partition of public.usage default;"
        "select audit.track('public.usage', item_label => 'right(license.license_key, 4)',"
        '   lookups => \'{"license": "license_id"}\')'
    )
    owner.execute("insert into public.usage values (%s, '2026-01-01')", (core.license,))
    with owner.transaction():
        with recorded(owner) as rows:
            owner.execute("delete from licensing.licenses")
        (row,) = [row for row in rows if row.item_type == "usage"]
        assert (row.item_label, row.is_cascade) == ("0000", True)
        assert places_with(CANARY, owner) == []


def test_a_move_between_partitions_leaves_no_secret_in_a_setting(
    owner: psycopg.Connection,
) -> None:
    owner.execute(
        "create table public.pass (id integer, region text, pin text, primary key (id, region))"
        "   partition by list (region);"
        "create table public.pass_n partition of public.pass for values in ('n');"
        "create table public.pass_s partition of public.pass for values in ('s');"
        "select audit.track('public.pass', secret => '{pin}')"
    )
    owner.execute("insert into public.pass values (1, 'n', %s)", (CANARY,))
    with owner.transaction():
        with recorded(owner) as rows:
            owner.execute("update public.pass set region = 's'")
        assert [row.action for row in rows] == ["pass_updated"] * 2
        assert places_with(CANARY, owner) == []


FAILURES: dict[str, tuple[LiteralString, str]] = {
    "a log that refuses": (
        "alter table audit.log add constraint no_more_check check (false) not valid",
        "23514",
    ),
    "a log that is gone": ("alter table audit.log rename to log_away", "42P01"),
    "an unfit trigger": (
        (
            "drop event trigger audit_before_ddl; drop event trigger audit_after_ddl;"
            "alter table licensing.licenses rename column note to remark;"
            "alter table licensing.platform_users rename column phone to telephone"
        ),
        "UA003",
    ),
    "no actor": (
        (
            "select audit.track('licensing.licenses', secret => '{license_key}',"
            " item_label => 'right(license_key, 4)', require_actor => true),"
            " audit.track('licensing.platform_users', secret => '{password_hash}',"
            " require_actor => true)"
        ),
        "UA002",
    ),
}


@pytest.mark.parametrize("obstacle", FAILURES)
@pytest.mark.parametrize("write", ["update a person alone", "insert a license", "delete a license"])
def test_no_error_of_ours_holds_a_secret(
    owner: psycopg.Connection, core: Platform, obstacle: str, write: str
) -> None:
    prepare, sqlstate = FAILURES[obstacle]
    owner.execute(prepare)
    with pytest.raises(psycopg.Error) as failed:
        owner.execute(sql.SQL(WRITES[write]).format(sql.Literal(CANARY)))
    assert failed.value.sqlstate == sqlstate
    assert CANARY not in said(failed.value)
    translated = errors.translate(failed.value)
    assert CANARY not in f"{translated} {translated.message} {translated.hint}"


def test_what_the_package_says_of_a_constraint_of_the_application_holds_no_row(
    owner: psycopg.Connection, core: Platform
) -> None:
    """PostgreSQL's detail quotes the failing row to its writer; auditdb does not pass it on."""
    with pytest.raises(psycopg.errors.CheckViolation) as failed:
        owner.execute(
            "update licensing.licenses set license_key = %s, max_activations = -1", (KEY,)
        )
    assert CANARY in (failed.value.diag.message_detail or "")
    translated = errors.translate(failed.value)
    assert CANARY not in f"{translated} {translated.message} {translated.hint}"
    assert places_with(CANARY, owner) == []


@pytest.mark.parametrize("shape", ["--json", "--text"])
def test_the_command_line_shows_no_secret(
    owner: psycopg.Connection, core: Platform, shape: str
) -> None:
    owner.execute("update licensing.platform_users set password_hash = %s, phone = '1'", (CANARY,))
    owner.execute("update licensing.licenses set license_key = %s, metadata = %s", (
        f"y{KEY}", Jsonb({"visible": "v1sible"}),
    ))  # fmt: skip
    owner.execute("delete from licensing.orders")
    shown = subprocess.run(
        [sys.executable, "-m", "auditdb", "log", "--all", shape, "--url", dsn(owner)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "400", "PYTHONWARNINGS": "error"},
        check=True,
    )
    assert "v1sible" in shown.stdout
    assert "redacted" in shown.stdout
    assert CANARY not in shown.stdout + shown.stderr


def dsn(conn: psycopg.Connection) -> str:
    """Return the URL of the database that a session is connected to."""
    info = conn.info
    login = info.user + (f":{info.password}" if info.password else "")
    return f"postgresql://{login}@/{info.dbname}?host={info.host}&port={info.port}"
