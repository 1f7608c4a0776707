"""Taking the example out: all that knew it agrees afterwards, and the log stays readable."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

import auditdb
from auditdb import errors
from auditdb._upkeep import migrate
from tests.conftest import _migrated, _new_database, _new_role
from tests.support.commands import auditdb as command
from tests.support.helpers import platform, value
from tests.support.servers import Server

ENGINE = {
    *("log_exported", "log_imported", "log_import_undone", "table_truncated"),
    *("tracking_changed", "tracking_started", "tracking_stopped"),
}
CATALOGUE = "select array_agg(action::text) from audit.actions"
LABELS = "select id, action, action_label from audit.events order by id"


@pytest.fixture(scope="module")
def owned(server: Server) -> Iterator[tuple[str, str]]:
    """A database with the example, to clone, of a role that is no superuser; and that role."""
    with _new_role(server) as role, _migrated(server, "licensing@head", role) as name:
        # Without it a check says that it cannot see the sessions of others.
        server.execute("grant pg_read_all_stats to {}", role)
        yield name, role


@pytest.fixture(params=["superuser", "owner"])
def url(
    request: pytest.FixtureRequest, server: Server, template: str, owned: tuple[str, str]
) -> Iterator[str]:
    """The URL of a database with the example, for the role that installed it."""
    source, role = owned if request.param == "owner" else (template, None)
    with _new_database(server, source, role) as name:
        yield server.url(name, role)


@pytest.fixture
def owner(url: str) -> Iterator[psycopg.Connection]:
    """A session of the role that installed the log, in autocommit mode."""
    with closing(psycopg.connect(url, autocommit=True)) as session:
        yield session


def test_without_rows_nothing_of_the_example_is_left(url: str, owner: psycopg.Connection) -> None:
    migrate.downgrade(url, "licensing@base")
    assert set(value(owner, CATALOGUE)) == ENGINE
    assert value(owner, "select count(*) from audit.action") == len(ENGINE)
    assert value(owner, "select bool_and(is_recorded) from audit.actions")


def test_with_rows_the_log_keeps_its_names_and_all_else_agrees(
    url: str, owner: psycopg.Connection
) -> None:
    # Without an actor, which a check warns of as long as somebody could do better.
    with owner.transaction():
        platform(owner)
    found = {finding.finding for finding in auditdb.check(owner)}
    assert found - {"function_rights"} == {"actor_missing"}
    before = owner.execute(LABELS).fetchall()
    names = "select action, label, description from audit.actions order by action"
    named = dict.fromkeys(owner.execute(names).fetchall())
    assert command("downgrade", "licensing@base", "--url", url).returncode == 0

    assert auditdb.check(owner) == ()
    checked = command("check", "--url", url)
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "All is well.")
    current = command("current", "--url", url)
    assert (current.returncode, current.stderr) == (0, "")
    assert value(owner, "select count(*) from audit.tracked") == 0
    functions = (
        "select array_agg(proname::text) from pg_proc where starts_with(proname, 'licensing')"
    )
    assert value(owner, functions) is None

    recorded = {action for _, action, _ in before} - ENGINE
    assert len(recorded) > 5
    assert set(value(owner, CATALOGUE)) == ENGINE | recorded
    past = "select array_agg(action::text) from audit.actions where not is_recorded"
    assert set(value(owner, past)) == recorded
    said = "select count(*) from audit.actions where not is_recorded and (item_types, recorded_on)"
    assert value(owner, f"{said} <> ('{{}}', '{{}}')") == 0
    assert owner.execute(LABELS).fetchall()[: len(before)] == before
    assert named.keys() >= set(owner.execute(names).fetchall())
    page = auditdb.events(owner, action="customer_created").events
    assert [event.action_label for event in page] == ["Customer created"]


def test_a_name_that_another_table_declares_too_stays(url: str, owner: psycopg.Connection) -> None:
    owner.execute("create table public.buyer (id integer primary key)")
    owner.execute(
        "select audit.track('public.buyer', actions => "
        """'[{"action": "customer_created", "on": "insert"}]')"""
    )
    migrate.downgrade(url, "licensing@base")
    assert set(value(owner, CATALOGUE)) == ENGINE | {"customer_created"}
    assert value(owner, "select bool_and(is_recorded) from audit.actions")


def test_what_others_built_on_the_example_is_named_and_nothing_happens(
    url: str, owner: psycopg.Connection
) -> None:
    owner.execute("create view public.open_orders as select * from licensing.orders")
    with pytest.raises(
        errors.MigrationFailed, match=r"view public\.open_orders depends on table licensing"
    ):
        migrate.downgrade(url, "licensing@base")
    assert value(owner, "select count(*) from audit.tracked") == 18
    assert len(value(owner, CATALOGUE)) == 43 + len(ENGINE)
    assert migrate.current(owner).missing == ()
    owner.execute("drop view public.open_orders")
    assert len(migrate.downgrade(url, "licensing@base")) == 1


def test_all_of_it_goes_where_the_log_is_empty(url: str, owner: psycopg.Connection) -> None:
    with pytest.raises(errors.DowngradeRefused, match=r"audit\.log has rows"):
        migrate.downgrade(url, "base")
    assert value(owner, "select count(*) from audit.tracked") == 18
    owner.execute("drop schema audit, licensing cascade")
    migrate.upgrade(url)
    assert migrate.downgrade(url, "base") == ("audit_0001 (The log and all that writes it)",)
    schemas = "select count(*) from pg_namespace where nspname in ('audit', 'licensing')"
    assert value(owner, schemas) == 0
    assert migrate.downgrade(url, "base") == ()
    assert value(owner, schemas) == 0


def test_what_others_keep_in_the_schema_stays(url: str, owner: psycopg.Connection) -> None:
    owner.execute("drop schema audit, licensing cascade")
    migrate.upgrade(url)
    owner.execute("create text search configuration audit.mine (copy = simple)")
    migrate.downgrade(url, "audit@base")
    assert value(owner, "select count(*) from pg_ts_config where cfgname = 'mine'") == 1
    with pytest.raises(auditdb.SchemaForeign, match=r"text search configuration audit\.mine"):
        migrate.upgrade(url)


OTHERS = [
    "create table audit.notes (id integer); insert into audit.notes values (1)",
    "create function audit.mine() returns integer return 1",
    "create view audit.ours as select 1 as one",
    "create type audit.mood as enum ('a')",
    "create sequence audit.counted",
]

BUILT_ON_IT = [
    ("create view public.busy as select actor_id from audit.events", "view public.busy"),
    (
        "create materialized view public.m as select count(*) from audit.log",
        "materialized view public.m",
    ),
    ("alter table public.kept add f audit.finding", "column f of table public.kept"),
    (
        "alter table public.kept add d integer default audit.begin_era()",
        "default value for column d of table public.kept",
    ),
    (
        "alter table public.kept add foreign key (id) references audit.era (number)",
        "constraint kept_id_fkey on table public.kept",
    ),
    (
        "create function public.f() returns text begin atomic select audit.name_of(null); end",
        "function public.f()",
    ),
    ("create view audit.busy as select 1 from audit.log", "view audit.busy"),
    (
        "create policy p on public.kept using (audit.has_own_policies())",
        "policy p on table public.kept",
    ),
    (
        "create trigger g before insert on public.kept execute function audit.refuse_change()",
        "trigger g on table public.kept",
    ),
]


def test_what_the_owner_keeps_in_the_schema_stays(url: str, owner: psycopg.Connection) -> None:
    owner.execute("drop schema audit, licensing cascade")
    migrate.upgrade(url)
    owner.execute("create table public.thing (id integer primary key)")
    owner.execute("select audit.track('public.thing')")
    owner.execute("alter table audit.log disable trigger all; delete from audit.log")
    for statement in OTHERS:
        owner.execute(statement.encode())
    migrate.downgrade(url, "audit@base")
    mine = owner.execute(
        "select pg_describe_object(d.classid, d.objid, 0) from pg_depend as d"
        " where d.refobjid = 'audit'::regnamespace and d.deptype = 'n' order by 1"
    ).fetchall()
    assert [name for (name,) in mine] == [
        "function audit.mine()",
        "sequence audit.counted",
        "table audit.notes",
        "type audit.mood",
        "view audit.ours",
    ]
    assert value(owner, "select id from audit.notes") == 1
    assert value(owner, "select count(*) from pg_trigger where tgname ~ '^_audit_'") == 0


def test_what_others_built_on_the_log_is_named_and_nothing_happens(
    url: str, owner: psycopg.Connection
) -> None:
    owner.execute("drop schema audit, licensing cascade")
    migrate.upgrade(url)
    owner.execute("create table public.kept (id integer)")
    for made, _ in BUILT_ON_IT:
        owner.execute(made.encode())
    with pytest.raises(errors.MigrationFailed) as caught:
        migrate.downgrade(url, "audit@base")
    for _, named in BUILT_ON_IT:
        assert named in caught.value.message
    assert migrate.current(owner).missing == ()
