"""A schema audit that auditdb did not make is refused before anything is written into it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest
from psycopg import conninfo

import auditdb
from auditdb._upkeep import migrate
from tests.conftest import CreateRole
from tests.support import ROOT
from tests.support.commands import auditdb as command
from tests.support.helpers import value
from tests.support.servers import Server

# What an object in the schema is, how it is made, and how it is named in the error.
KINDS = {
    "table": ("create table audit.logged_actions (id int)", "table audit.logged_actions"),
    "log": ("create table audit.log (id int)", "table audit.log"),
    "partitioned": ("create table audit.log (id int) partition by list (id)", "table audit.log"),
    "view": ("create view audit.events as select 1 as a", "view audit.events"),
    "view for Alembic": (
        "create view audit.alembic_version as select 'audit_0001'::varchar as version_num",
        "view audit.alembic_version",
    ),
    "version table of another": (
        "create table audit.alembic_version (version_num) as select '1975ea83b712'::varchar",
        "table audit.alembic_version",
    ),
    "materialized view": (
        "create materialized view audit.m as select 1 as a",
        "materialized view audit.m",
    ),
    "sequence": ("create sequence audit.log_id_seq", "sequence audit.log_id_seq"),
    "function": (
        "create function audit.name_of(regclass) returns text language sql as $$select ''$$",
        "function audit.name_of(pg_catalog.regclass)",
    ),
    "procedure": ("create procedure audit.p() language sql as ''", "procedure audit.p()"),
    "aggregate": (
        "create aggregate audit.agg (int) (sfunc = int4pl, stype = int)",
        "aggregate audit.agg(integer)",
    ),
    "enum": ("create type audit.kind as enum ('a')", "type audit.kind"),
    "domain": ("create domain audit.whole as int", "type audit.whole"),
    "composite": ("create type audit.finding as (a int)", "type audit.finding"),
    "operator": (
        "create operator audit.= (leftarg = int4, rightarg = int4, function = int4eq)",
        "operator audit.=(integer,integer)",
    ),
    "collation": ("create collation audit.c (locale = 'C')", "collation audit.c"),
    "text search": (
        "create text search configuration audit.t (copy = simple)",
        "text search configuration audit.t",
    ),
}


@dataclass(frozen=True, slots=True)
class Installer:
    """A role that may create schemas in a database, beside the superuser of the server."""

    name: str
    url: str


@pytest.fixture(params=["superuser", "owner"])
def installer(
    request: pytest.FixtureRequest, server: Server, empty_database: str, create_role: CreateRole
) -> Installer:
    """Who installs into the empty database."""
    if request.param == "superuser":
        return Installer(server.user, empty_database)
    name, role = str(conninfo.conninfo_to_dict(empty_database)["dbname"]), create_role()
    server.execute("alter database {} owner to {}", name, role)
    return Installer(role, server.url(name, role))


def run(url: str, script: str) -> None:
    with psycopg.connect(url) as session:
        session.execute(script.encode())


def objects(url: str) -> list[str]:
    """Return everything that there is in the database beside the system's own, and whose it is."""
    with psycopg.connect(url) as session:
        rows = session.execute(
            "select distinct format('%s %s %s', i.type, i.identity, s.refobjid)"
            " from pg_depend as d"
            " cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) as i"
            " left join pg_shdepend as s on s.classid = d.classid and s.objid = d.objid"
            " where d.objid >= 16384"
        )
        return sorted(row[0] for row in rows)


def alembic(url: str, *words: str) -> str:
    """Run Alembic in the checkout; return what it says, once it has failed."""
    ran = subprocess.run(
        [sys.executable, "-m", "alembic", "-x", f"url={url}", *words],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if name != "AUDITDB_URL"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    return ran.stderr


def refused(url: str) -> auditdb.SchemaForeign:
    """Return the error of an upgrade, which has left everything as it was."""
    before = objects(url)
    with pytest.raises(auditdb.SchemaForeign) as caught:
        migrate.upgrade(url)
    assert objects(url) == before
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_in_the_schema_is_named(empty_database: str, kind: str) -> None:
    made, named = KINDS[kind]
    run(empty_database, f"create schema audit; {made}")
    error = refused(empty_database)
    assert f"{named} of postgres" in error.message
    assert "belongs to role postgres and holds 1 object (" in error.message
    assert "alter schema audit rename to" in (error.hint or "")


def test_of_much_the_first_few_are_named_and_the_rest_is_counted(empty_database: str) -> None:
    run(
        empty_database,
        "create schema audit; create type audit.a as enum ('a');"
        " create function audit.f() returns int language sql as 'select 1';"
        " create table audit.log (id serial primary key, at timestamptz default now());"
        " create table audit.logged_actions (id int primary key);"
        " create view audit.v as select 1 as a; create table audit.third ();",
    )
    message = refused(empty_database).message
    assert "holds 7 objects (function 1, sequence 1, table 3, type 1, view 1)" in message
    assert message.endswith(
        "table audit.log of postgres, table audit.logged_actions of postgres, "
        "table audit.third of postgres, function audit.f() of postgres, "
        "sequence audit.log_id_seq of postgres, and 2 more"
    )


def test_every_way_to_upgrade_refuses_it(server: Server, installer: Installer) -> None:
    url = installer.url
    run(url, "create schema audit; create table audit.log (id int)")
    before = objects(url)
    for words in ("upgrade", "upgrade heads", "upgrade licensing@head", "upgrade audit_0001"):
        ran = command(*words.split(), "--url", url)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "was not made by auditdb" in ran.stderr
        assert f"table audit.log of {installer.name}" in ran.stderr
        assert "Rename it" in ran.stderr
    for words in ("upgrade heads", "upgrade audit@head", "stamp audit@head"):
        assert f"table audit.log of {installer.name}" in alembic(url, *words.split())
    script = command("upgrade", "--sql").stdout
    dbname = str(conninfo.conninfo_to_dict(url)["dbname"])
    for options in (["-1"], []):
        printed = server.run(
            *("psql", "-X", "-q", *options, "-v", "ON_ERROR_STOP=1", "-d", dbname),
            input=script,
            user=installer.name,
            check=False,
        )
        assert printed.returncode == 3
        assert f"table audit.log of {installer.name}" in printed.stderr
    assert objects(url) == before
    # What is there can be kept, under another name.
    run(url, "alter schema audit rename to audit_before")
    assert migrate.upgrade(url)


def test_the_script_looks_before_it_does_anything() -> None:
    begin, pin, bound, look = command("upgrade", "--sql").stdout.split(";\n", 3)
    assert begin == "BEGIN"
    assert pin.strip() == "set local search_path = pg_catalog, pg_temp"
    assert "lock_timeout" in bound
    guard = (ROOT / "migrations" / "guard.sql").read_text("utf-8")
    assert look.strip().startswith(guard.strip())


def test_an_empty_schema_of_the_installer_is_fine(installer: Installer) -> None:
    run(installer.url, "create schema audit")
    assert len(migrate.upgrade(installer.url)) == 1
    assert migrate.upgrade(installer.url) == ()


def test_an_empty_schema_of_somebody_else_is_refused(
    server: Server, empty_database: str, installer: Installer, create_role: CreateRole
) -> None:
    other, third = create_role(), create_role()
    run(empty_database, f"create schema audit authorization {other}")
    run(empty_database, f"grant all on schema audit to {third}")
    error = refused(installer.url)
    assert f"is empty and belongs to role {other}" in error.message
    run(empty_database, (error.hint or "").rpartition(": ")[2])
    error = refused(installer.url)
    assert f"others could put functions into it that this role, {installer.name}" in error.message
    assert error.message.endswith(f": {third}")
    run(empty_database, error.hint or "")
    assert len(migrate.upgrade(installer.url)) == 1


def test_an_empty_schema_that_all_may_create_in_is_refused(installer: Installer) -> None:
    run(installer.url, "create schema audit; grant create on schema audit to public")
    assert refused(installer.url).message.endswith(": public")


def test_a_version_table_with_our_names_opens_no_door(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    """A role that makes a log of its own kind waits for a superuser to call its functions."""
    other, dbname = create_role(), str(conninfo.conninfo_to_dict(empty_database)["dbname"])
    server.execute("grant create on database {} to {}", dbname, other)
    run(
        server.url(dbname, other),
        "create schema audit; create table audit.alembic_version (version_num varchar(32));"
        "insert into audit.alembic_version values ('audit_0001');"
        "create table audit.called ();"
        "create function audit.refresh() returns void language sql as 'drop table audit.called';"
        "grant usage on schema audit to public; grant select on audit.alembic_version to public",
    )
    for act in (migrate.upgrade, partial(migrate.downgrade, revision="audit@base")):
        with pytest.raises(auditdb.SchemaForeign) as caught:
            act(empty_database)
        assert f"belongs to role {other}, and this is role {server.user}" in caught.value.message
        assert f"role={other}" in (caught.value.hint or "")
    with psycopg.connect(empty_database) as session:
        assert value(session, "select to_regclass('audit.called') is not null")


def test_what_another_role_put_into_our_log_is_refused(
    empty_database: str, installer: Installer, create_role: CreateRole
) -> None:
    migrate.upgrade(installer.url)
    other = create_role()
    run(empty_database, f"grant create on schema audit to {other}")
    run(
        empty_database,
        f"set role {other}; create function audit.name_of(regclass, int default 1)"
        " returns text language sql as $$select ''$$",
    )
    error = refused(installer.url)
    assert "schema audit holds what is not of auditdb" in error.message
    assert f"function audit.name_of(pg_catalog.regclass,integer) of {other}" in error.message
    for act in (partial(command, "upgrade"), partial(command, "downgrade", "audit@base")):
        assert "holds what is not of auditdb" in act("--url", installer.url).stderr
    run(empty_database, f"drop owned by {other}")
    assert migrate.upgrade(installer.url) == ()


def test_a_log_is_upgraded_by_its_owner(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    role, dbname = create_role(), str(conninfo.conninfo_to_dict(empty_database)["dbname"])
    server.execute("alter database {} owner to {}", dbname, role)
    url = server.url(dbname, role)
    migrate.upgrade(url)
    error = refused(empty_database)
    assert error.message.startswith(f"schema audit belongs to role {role}")
    as_role = empty_database.replace("options=", f"options=-c%20role%3D{role}%20")
    assert migrate.upgrade(as_role) == ()


def test_operators_of_the_search_path_do_not_speak_for_the_schema(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    """The operators of a stranger, which fit better, would be called by whoever upgrades."""
    other = create_role()
    run(
        empty_database,
        "create schema audit; create table public.called ();"
        f"grant all on schema public to {other}; alter table public.called owner to {other}",
    )
    trap = """
        create function public.trap({left}, {right}) returns boolean language plpgsql as $$
        begin drop table public.called; return false; end $$;
        create operator public.{sign} (
          leftarg = {left}, rightarg = {right}, function = public.trap);
    """
    pairs = [("oid", "=", "regrole"), ("regrole", "=", "oid"), ("varchar", "~", "text")]
    traps = (trap.format(left=left, sign=sign, right=right) for left, sign, right in pairs)
    run(empty_database, f"set role {other}; {' '.join(traps)}")
    assert migrate.upgrade(empty_database)
    with psycopg.connect(empty_database) as session:
        assert value(session, "select to_regclass('public.called') is not null")


def test_commands_that_read_do_not_run_what_is_planted(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    run(
        empty_database,
        "create schema audit; create table public.called ();"
        "create function public.trap() returns varchar language plpgsql as "
        "$$ begin drop table public.called; return 'audit_0001'; end $$;"
        "create view audit.alembic_version as select public.trap() as version_num",
    )
    assert command("current", "--url", empty_database).returncode == 1
    assert "was not made by auditdb" in command("upgrade", "--url", empty_database).stderr
    with psycopg.connect(empty_database) as session:
        assert value(session, "select to_regclass('public.called') is not null")


def test_default_privileges_on_the_schema_are_refused(
    installer: Installer, create_role: CreateRole
) -> None:
    other = create_role()
    run(
        installer.url,
        "create schema audit; alter default privileges in schema audit"
        f" grant select, insert on tables to {other};"
        f" alter default privileges in schema audit grant execute on functions to {other}",
    )
    message = refused(installer.url).message
    for right in ("select", "insert", "execute"):
        assert f"{right} to {other} (by {installer.name})" in message
    run(installer.url, "drop schema audit")
    assert len(migrate.upgrade(installer.url)) == 1


def test_a_restored_log_is_upgraded_by_its_new_owner(
    server: Server, installer: Installer, create_role: CreateRole
) -> None:
    migrate.upgrade(installer.url)
    run(
        installer.url,
        "create table public.thing (id int primary key); select audit.track('public.thing')",
    )
    name, copy = str(conninfo.conninfo_to_dict(installer.url)["dbname"]), create_role()
    dump = server.run("pg_dump", "--no-owner", name).stdout
    server.execute("create database {} template template0 owner {}", f"{name}_r", copy)
    try:
        server.run("psql", "-X", "-q", "-d", f"{name}_r", input=dump, user=copy)
        assert migrate.upgrade(server.url(f"{name}_r", copy)) == ()
    finally:
        server.execute("drop database {} with (force)", f"{name}_r")


def test_psql_installs_beside_nobody(server: Server, installer: Installer) -> None:
    run(installer.url, "create schema audit; create table audit.log (id int)")
    before = objects(installer.url)
    dbname = str(conninfo.conninfo_to_dict(installer.url)["dbname"])
    script = str(ROOT / "sql" / "install.sql")
    ran = server.run(
        "psql", "-X", "-q", "-d", dbname, "-f", script, user=installer.name, check=False
    )
    assert ran.returncode == 3
    assert 'ERROR:  schema "audit" already exists' in ran.stderr
    assert objects(installer.url) == before
