"""Migrations that alter tracked tables, above all where no event trigger follows them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from auditdb.errors import InvalidDeclaration, PermissionDenied, translate
from tests.conftest import Connect, CreateRole, _migrated, _new_database, _new_role
from tests.support.alembic_project import Project
from tests.support.helpers import recorded, value
from tests.support.servers import Server

CREATE = """
op.execute("create table customers (id int primary key)")
op.execute("create table invoices (id int primary key, number text, total int, customer_id int)")
op.track_table("invoices", item_label="number")
"""

# What a migration does, and a write afterwards with what it must leave in the log.
DDL = [
    (
        'op.add_column("invoices", sa.Column("paid", sa.Boolean()))',
        'op.drop_column("invoices", "paid")',
        "update invoices set paid = true",
        {"paid": {"old": None, "new": True}},
    ),
    (
        'op.alter_column("invoices", "total", type_=sa.Numeric(), postgresql_using="total / 4.0")',
        'op.alter_column("invoices", "total", type_=sa.Integer())',
        "update invoices set total = 3",
        {"total": {"old": 2.5, "new": 3}},
    ),
    (
        'op.drop_column("invoices", "total")',
        'op.add_column("invoices", sa.Column("total", sa.Integer()))',
        "update invoices set number = 'R-2'",
        {"number": {"old": "R-1", "new": "R-2"}},
    ),
    (
        'op.alter_column("invoices", "number", new_column_name="code")',
        'op.alter_column("invoices", "code", new_column_name="number")',
        "update invoices set code = 'R-2'",
        {"code": {"old": "R-1", "new": "R-2"}},
    ),
]

MakeProject = Callable[..., Project]


@pytest.fixture(scope="module")
def owned(server: Server) -> Iterator[tuple[str, str]]:
    """A database with the log, to clone, of a role that is no superuser; and that role."""
    with _new_role(server) as role, _migrated(server, "audit@head", role) as name:
        yield name, role


@pytest.fixture(params=[True, False], ids=["superuser", "owner"])
def make_project(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: Server,
    engine_template: str,
    owned: tuple[str, str],
) -> Iterator[MakeProject]:
    """A function that makes a project on a database with the log: with event triggers, or not."""
    template, role = (engine_template, None) if request.param else owned
    with _new_database(server, template, role) as name:
        url = server.url(name, role)

        def make(**how: str) -> Project:
            project = Project.new(tmp_path, url, **how)
            project.models("")
            project.write_revision("one", CREATE, 'op.drop_table("invoices")')
            return project

        yield make


def write(project: Project, statement: str) -> list[tuple[str, object, bool]]:
    """Run a statement; return what it left in the log."""
    url = project.url.replace("+asyncpg", "").replace("+psycopg", "")
    with psycopg.connect(url) as conn, recorded(conn) as log:
        conn.execute(statement.encode())
    return [(row.action, row.changes, row.is_cascade) for row in log]


def is_up_to_date(project: Project) -> bool:
    """Return whether a refresh finds nothing to do, or only narrows what was widened."""
    with psycopg.connect(project.url.replace("+asyncpg", "").replace("+psycopg", "")) as conn:
        return not value(conn, "select count(*) from audit.refresh()")


@pytest.mark.parametrize("options", ["", ", transaction_per_migration=True"])
@pytest.mark.parametrize(("up", "down", "statement", "changes"), DDL)
def test_ddl_and_a_write_afterwards(
    make_project: MakeProject,
    up: str,
    down: str,
    statement: str,
    changes: dict[str, object],
    options: str,
) -> None:
    project = make_project(options=options)
    project.upgrade()
    write(project, "insert into invoices values (1, 'R-1', 10)")
    project.write_revision("two", up, down)
    project.upgrade()
    assert write(project, statement) == [("invoices_updated", changes, False)]
    assert is_up_to_date(project)
    project.downgrade("one")
    assert is_up_to_date(project)
    assert write(project, "delete from invoices")[0][0] == "invoices_deleted"


def test_a_migration_writes_to_what_it_altered(make_project: MakeProject) -> None:
    project = make_project()
    project.write_revision(
        "two",
        """
        op.execute("insert into invoices values (1, 'R-1', 10)")
        op.add_column("invoices", sa.Column("paid", sa.Boolean()))
        op.execute("update invoices set paid = false")
        op.alter_column("invoices", "paid", nullable=False, new_column_name="is_paid")
        op.execute("update invoices set is_paid = true")
        """,
    )
    url = project.url.replace("+psycopg", "")
    project.upgrade()
    with psycopg.connect(url) as conn:
        found = conn.execute(
            "select changes from audit.events where action = 'invoices_updated' order by id"
        ).fetchall()
    assert found == [
        ({"paid": {"old": None, "new": False}},),
        ({"is_paid": {"old": False, "new": True}},),
    ]


def test_a_foreign_key_that_cascades_from_now_on(make_project: MakeProject) -> None:
    project = make_project()
    project.upgrade()
    project.write_revision(
        "two",
        'op.create_foreign_key("fk", "invoices", "customers", ["customer_id"], ["id"],'
        ' ondelete="CASCADE")',
    )
    project.upgrade()
    assert is_up_to_date(project)
    write(project, "insert into customers values (1); insert into invoices values (1, 'R', 1, 1)")
    [(action, _, is_cascade)] = write(project, "delete from customers")
    assert (action, is_cascade) == ("invoices_deleted", True)


def test_an_autocommit_block(make_project: MakeProject) -> None:
    project = make_project()
    project.upgrade()
    project.write_revision(
        "two",
        """
        op.add_column("invoices", sa.Column("paid", sa.Boolean()))
        with op.get_context().autocommit_block():
            op.execute("create index concurrently invoices_number on invoices (number)")
            op.execute("alter table invoices add column due date")
        op.execute("insert into invoices (id, paid, due) values (1, true, '2026-03-01')")
        """,
    )
    project.upgrade()
    assert is_up_to_date(project)
    [(_, changes, _)] = write(project, "update invoices set due = null, paid = null")
    assert changes == {
        "due": {"old": "2026-03-01", "new": None},
        "paid": {"old": True, "new": None},
    }


def test_an_async_environment(make_project: MakeProject) -> None:
    project = make_project(template="async", driver="asyncpg")
    project.upgrade()
    write(project, "insert into invoices values (1, 'R-1', 10)")
    project.write_revision(
        "two",
        'op.add_column("invoices", sa.Column("paid", sa.Boolean()))\n'
        'op.execute("update invoices set paid = false")',
        'op.drop_column("invoices", "paid")',
    )
    project.upgrade()
    assert is_up_to_date(project)
    project.models(
        'invoices = Table("invoices", Base.metadata, Column("id", Integer, primary_key=True),\n'
        '    Column("number", Text), Column("total", Integer), Column("customer_id", Integer),\n'
        '    Column("paid", Boolean))\n'
        'Table("customers", Base.metadata, Column("id", Integer, primary_key=True))\n'
        "auditdb.declare(invoices, item_label=\"'100% :x $1' || number\")\n"
    )
    assert "op.track_table" in project.migrate("three")
    project.check()
    project.downgrade("one")
    assert is_up_to_date(project)


def test_psycopg2(make_project: MakeProject) -> None:
    project = make_project(driver="psycopg2")
    project.upgrade()
    project.write_revision(
        "two",
        'op.track_table("invoices", item_label="number || \'100% :x \\\\\\\\ \'")\n'
        'op.alter_column("invoices", "total", type_=sa.Numeric())\n'
        "op.execute(\"insert into invoices values (1, 'R-1', 2)\")",
    )
    project.upgrade()
    with psycopg.connect(project.url.replace("+psycopg2", "")) as conn:
        assert value(conn, "select item_label from audit.log where item_id = '1'") == (
            "R-1100% :x \\\\ "
        )


def test_a_failed_migration_leaves_nothing(make_project: MakeProject) -> None:
    project = make_project()
    project.upgrade()
    project.write_revision(
        "two",
        'op.add_column("invoices", sa.Column("paid", sa.Boolean()))\nop.execute("select 1 / 0")',
    )
    with pytest.raises(Exception, match="division by zero"):
        project.upgrade()
    assert is_up_to_date(project)
    assert write(project, "insert into invoices (id) values (1)")[0][0] == "invoices_created"


def test_a_declaration_that_cannot_follow_says_so(make_project: MakeProject) -> None:
    project = make_project()
    project.upgrade()
    project.write_revision(
        "two",
        'op.track_table("invoices", account="total::text")\nop.drop_column("invoices", "total")',
    )
    # An event trigger refuses the statement itself, with the driver's error.
    with pytest.raises((InvalidDeclaration, DBAPIError), match="total") as refused:
        project.upgrade()
    assert isinstance(translate(refused.value), InvalidDeclaration)


def test_where_the_event_triggers_are_gone(tmp_path: Path, connect: Connect, database: str) -> None:
    project = Project.new(tmp_path, database)
    project.models("")
    project.write_revision("one", CREATE)
    project.upgrade()
    with connect() as conn:
        # As after a restore by a role that may not create any. The triggers list columns.
        conn.execute("drop event trigger audit_before_ddl; drop event trigger audit_after_ddl")
        conn.execute("insert into invoices values (1, 'R-1', 10)")
    project.write_revision(
        "two",
        'op.alter_column("invoices", "total", type_=sa.Numeric())\n'
        'op.drop_column("invoices", "number")',
    )
    project.upgrade()
    assert write(project, "update invoices set total = 11") == [
        ("invoices_updated", {"total": {"old": 10, "new": 11}}, False)
    ]


def test_a_role_without_rights_where_event_triggers_see_to_it(
    tmp_path: Path, server: Server, database: str, connect: Connect, create_role: CreateRole
) -> None:
    role = create_role()
    with connect() as conn:
        conn.execute(
            sql.SQL(
                "create table invoices (id int primary key); alter table invoices owner to {0};"
                "grant create on schema public to {0}; select audit.track('invoices')"
            ).format(sql.Identifier(role))
        )
        name = conn.info.dbname
    project = Project.new(tmp_path, server.url(name, role))
    project.models("")
    project.write_revision("one", 'op.add_column("invoices", sa.Column("paid", sa.Boolean()))')
    project.upgrade()
    with connect() as conn, recorded(conn) as log:
        conn.execute("insert into invoices values (1, true)")
    assert [row.changes for row in log] == [{"id": {"new": 1}, "paid": {"new": True}}]


def test_a_role_without_rights_where_nobody_sees_to_it(
    tmp_path: Path, server: Server, database: str, connect: Connect, create_role: CreateRole
) -> None:
    role = create_role()
    with connect() as conn:
        conn.execute("drop event trigger audit_before_ddl; drop event trigger audit_after_ddl")
        conn.execute(sql.SQL("grant create on schema public to {}").format(sql.Identifier(role)))
        name = conn.info.dbname
    project = Project.new(tmp_path, server.url(name, role))
    project.models("")
    project.write_revision("one", 'op.create_table("t", sa.Column("id", sa.Integer()))')
    with pytest.raises(PermissionDenied, match="audit"):
        project.upgrade()


def test_looking_changes_nothing(tmp_path: Path, connect: Connect, database: str) -> None:
    project = Project.new(tmp_path, database)
    project.models("")
    project.write_revision("one", CREATE)
    project.upgrade()
    with connect() as conn:
        conn.execute("drop event trigger audit_after_ddl")
        conn.execute("alter table invoices add column paid boolean")
        conn.commit()
        with recorded(conn) as log:
            project.revision("two")
    assert log == []
