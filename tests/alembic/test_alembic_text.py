"""Declarations with hostile names and texts: rendered, run, printed as SQL, in many schemas."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from auditdb._upkeep import migrate
from tests.conftest import Connect
from tests.support import ROOT
from tests.support.alembic_project import Project
from tests.support.helpers import value
from tests.support.servers import Server

NASTY = "a'b\"c\\d\\n %s %% %(x)s :word ::text ${x} {y} $$ $1 ; -- /* \t\r\n  é€𝄞 \\\n\n"
COLUMN = "k'\"\\n%s:x $$é\n"

TABLES = [
    ("invoices", None),
    ("In'voi\"ces %s :x é\\", None),
    ("select", "Sch.e\"ma'1"),
    ("t", "x"),
    ("a.b", "x"),
]


def model(name: str, schema: str | None, declaration: str) -> str:
    place = "" if schema is None else f", schema={schema!r}"
    return (
        # Not a serial: Alembic itself fails on a sequence whose name has a quote.
        f"Table({name!r}, Base.metadata,"
        " Column('id', Integer, primary_key=True, autoincrement=False),"
        f" Column({COLUMN!r}, Text){place}, info={{'audit': {declaration}}})\n"
    )


def quoted_text(text: str) -> str:
    return f"'{text.replace(chr(39), chr(39) * 2)}'"


LABEL = quoted_text(NASTY)
DECLARATION = f"""Tracked(
    item_type={NASTY!r}, item_label={LABEL!r}, account={LABEL!r}, secret=[{COLUMN!r}],
    actions=[Action({NASTY!r}, "insert", when={f"new.id > 0 or {LABEL} = ''"!r}, label={NASTY!r},
        description={NASTY!r})])"""


@pytest.fixture
def schemas(connect: Connect) -> None:
    with connect() as conn:
        for _, schema in TABLES:
            if schema:
                conn.execute(
                    sql.SQL("create schema if not exists {}").format(sql.Identifier(schema))
                )


INCLUDED = ", include_schemas=True, include_name=lambda name, kind, parents: name != 'licensing'"


def labels(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "select item_type, item_label, account, secret, actions from audit.tracked as k"
        " join pg_class as c on c.oid = k.target"
        " where c.relnamespace <> 'licensing'::regnamespace order by k.id"
    ).fetchall()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_hostile_names_and_texts(
    tmp_path: Path, database: str, connect: Connect, schemas: None, driver: str
) -> None:
    project = Project.new(tmp_path, database, driver=driver, options=INCLUDED)
    project.models("".join(model(name, schema, DECLARATION) for name, schema in TABLES))
    project.migrate("one")
    project.check()
    with connect() as conn:
        found = labels(conn)
        assert len(found) == len(TABLES)
        for row in found:
            assert row == (
                NASTY,
                LABEL,
                LABEL,
                [COLUMN],
                [
                    {
                        "action": NASTY,
                        "on": "insert",
                        "when": f"new.id > 0 or {LABEL} = ''",
                        "label": NASTY,
                        "description": NASTY,
                    }
                ],
            )
        conn.execute("insert into invoices (id) values (1)")
        assert value(conn, "select item_label from audit.log where item_id = '1'") == NASTY
    project.models("".join(model(name, schema, "Tracked()") for name, schema in TABLES))
    project.migrate("two")
    project.check()
    project.downgrade("one")
    with connect() as conn:
        assert sorted(map(str, labels(conn))) == sorted(map(str, found))
    project.downgrade("base")
    with connect() as conn:
        assert labels(conn) == []


@pytest.mark.parametrize("paramstyle", ["named", "pyformat"])
def test_the_printed_script_does_the_same(
    tmp_path: Path, server: Server, database: str, connect: Connect, schemas: None, paramstyle: str
) -> None:
    project = Project.new(tmp_path, database, options=INCLUDED)
    env = project.directory / "alembic" / "env.py"
    env.write_text(
        env.read_text().replace('"paramstyle": "named"', f'"paramstyle": "{paramstyle}"')
    )
    # SQLAlchemy would double the percent signs in the names of tables and columns.
    tables = TABLES if paramstyle == "named" else [(n, s) for n, s in TABLES if "%" not in n]
    models = "".join(model(name, schema, DECLARATION) for name, schema in tables)
    if paramstyle == "pyformat":
        models = models.replace(repr(COLUMN), repr(COLUMN.replace("%", "")))
    project.models(models)
    project.revision("one")
    with connect() as conn:
        conn.execute("drop table alembic_version")  # the script makes it
    script = project.sql("one")
    name = str(conninfo.conninfo_to_dict(database)["dbname"])
    server.run("psql", "-v", "ON_ERROR_STOP=1", "-X", "-q", "-d", name, input=script)
    project.check()
    back = project.sql("one:base", down=True)
    server.run("psql", "-v", "ON_ERROR_STOP=1", "-X", "-q", "-d", name, input=back)
    with connect() as conn:
        assert labels(conn) == []


def test_the_printed_script_refreshes_and_needs_no_audit_log(
    tmp_path: Path, server: Server, empty_database: str
) -> None:
    project = Project.new(tmp_path, empty_database, options=", transaction_per_migration=True")
    project.models("")
    project.write_revision("one", 'op.execute("create table t (id int primary key)")')
    project.write_revision("two", 'op.add_column("t", sa.Column("v", sa.Text()))')
    project.write_revision("three", "op.execute(\"insert into t values (1, 'x')\")")
    name = str(conninfo.conninfo_to_dict(empty_database)["dbname"])
    psql = ("psql", "-v", "ON_ERROR_STOP=1", "-X", "-q", "-d", name)
    server.run(*psql, input=project.sql("one"))
    migrate.upgrade(empty_database, "audit@head")
    with psycopg.connect(empty_database) as conn:
        conn.execute("drop event trigger audit_before_ddl; drop event trigger audit_after_ddl")
        conn.execute("select audit.track('t')")
    server.run(*psql, input=project.sql("one:three"))
    with psycopg.connect(empty_database) as conn:
        assert value(conn, "select changes from audit.events where item_id = '1'") == {
            "id": {"new": 1},
            "v": {"new": "x"},
        }


def test_the_command_line(tmp_path: Path, database: str, connect: Connect) -> None:
    project = Project.new(tmp_path, database)
    project.models(
        "class Invoice(Base):\n    __tablename__ = 'invoices'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "auditdb.declare(Invoice)\n"
    )
    ini = project.directory / "alembic.ini"
    url = project.url.replace("%", "%%")
    lines = [
        f"sqlalchemy.url = {url}" if line.startswith("sqlalchemy.url") else line
        for line in ini.read_text().splitlines()
    ]
    ini.write_text("\n".join(lines))

    def alembic(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "alembic", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    assert alembic("revision", "--autogenerate", "-m", "invoices").returncode == 0
    upgraded = alembic("upgrade", "head")
    assert upgraded.returncode == 0, upgraded.stderr
    assert alembic("check").returncode == 0
    with connect() as conn:
        conn.execute("select audit.untrack('invoices')")
    behind = alembic("check")
    assert behind.returncode != 0
    assert "track_table" in behind.stdout + behind.stderr
