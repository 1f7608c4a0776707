"""Tables declared in models: what autogenerate writes, and that upgrade and downgrade do it."""

from pathlib import Path
from typing import Any

import pytest
from alembic.util import CommandError
from psycopg.rows import dict_row

from auditdb.errors import (
    CannotTrack,
    InvalidDeclaration,
    MigrationFailed,
    PermissionDenied,
    SchemaMissing,
)
from tests.conftest import Connect, CreateRole
from tests.support.alembic_project import Project
from tests.support.helpers import recorded
from tests.support.servers import Server

INVOICE = """
class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    token: Mapped[str | None]
"""
DECLARED = INVOICE + '    __table_args__ = {"info": {"audit": Tracked(item_label="number")}}\n'


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    return Project.new(tmp_path, database)


def tracked(connect: Connect, table: str = "public.invoices") -> dict[str, Any] | None:
    """Return how the database tracks a table, None if it does not or there is none."""
    with connect() as conn, conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select * from audit.tracked where target = to_regclass(%s)", [table])
        return cursor.fetchone()


def body(source: str, function: str) -> str:
    """Return the operations of upgrade() or downgrade(), one line each where they are short."""
    part = source.split(f"def {function}() -> None:")[1].split("\ndef ")[0]
    lines = [line.strip() for line in part.splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith(("#", '"""')))


def test_a_new_table_is_tracked_and_untracked_with_it(project: Project, connect: Connect) -> None:
    project.models(DECLARED)
    source = project.migrate("one")
    assert body(source, "upgrade").endswith("op.track_table('invoices', item_label='number')")
    assert body(source, "downgrade") == ("op.untrack_table('invoices')\nop.drop_table('invoices')")
    assert "Tracked(" not in source
    conn = connect()
    with recorded(conn) as log:
        conn.execute("insert into invoices (number) values ('R-1')")
    assert [(row.action, row.item_label) for row in log] == [("invoices_created", "R-1")]
    conn.rollback()
    project.check()
    assert body(project.revision("two"), "upgrade") == "pass"
    project.downgrade("base")
    assert tracked(connect) is None
    project.upgrade("one")
    assert tracked(connect) is not None


def test_a_changed_declaration_goes_up_and_down(project: Project, connect: Connect) -> None:
    project.models(DECLARED)
    project.migrate("one")
    project.models(
        INVOICE
        + '    __table_args__ = {"info": {"audit": Tracked(item_label="id", secret=["token"],'
        ' require_actor=True, on_truncate="refuse")}}\n'
    )
    with pytest.raises(CommandError, match="track_table"):
        project.check()
    source = project.migrate("two")
    assert body(source, "upgrade") == (
        "op.track_table(\n'invoices',\nitem_label='id',\nsecret=['token'],\n"
        "require_actor=True,\non_truncate='refuse',\n)"
    )
    assert body(source, "downgrade") == "op.track_table('invoices', item_label='number')"
    project.check()
    now = tracked(connect)
    assert now is not None
    assert (now["item_label"], now["secret"], now["require_actor"], now["on_truncate"]) == (
        "id",
        ["token"],
        True,
        "refuse",
    )
    project.downgrade("one")
    before = tracked(connect)
    assert before is not None
    assert (before["item_label"], before["secret"], before["require_actor"]) == (
        "number",
        [],
        False,
    )


def test_a_declaration_taken_back(project: Project, connect: Connect) -> None:
    project.models(DECLARED)
    project.migrate("one")
    project.models(INVOICE)
    with pytest.raises(CommandError, match="untrack_table"):
        project.check()
    source = project.migrate("two")
    assert body(source, "upgrade") == "op.untrack_table('invoices')"
    assert body(source, "downgrade") == "op.track_table('invoices', item_label='number')"
    assert tracked(connect) is None
    project.check()
    project.downgrade("one")
    found = tracked(connect)
    assert found is not None
    assert found["item_label"] == "number"


def test_a_tracked_table_that_is_dropped_is_untracked_first(
    project: Project, connect: Connect
) -> None:
    project.models(DECLARED)
    project.migrate("one")
    project.models("")
    source = project.migrate("two")
    assert body(source, "upgrade") == "op.untrack_table('invoices')\nop.drop_table('invoices')"
    assert body(source, "downgrade").endswith("op.track_table('invoices', item_label='number')")
    project.downgrade("one")
    assert tracked(connect) is not None


def test_one_table_is_dropped_while_another_is_declared(project: Project, connect: Connect) -> None:
    project.models(DECLARED)
    project.migrate("one")
    project.models(CUSTOMERS + "auditdb.declare(Customer)\n")
    source = project.migrate("two")
    assert body(source, "upgrade").startswith("op.untrack_table('invoices')")
    assert body(source, "upgrade").endswith("op.track_table('customers')")
    project.downgrade("one")
    assert tracked(connect) is not None
    assert tracked(connect, "public.customers") is None


CUSTOMERS = """
class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str]
"""


def test_columns_and_keys_that_a_changed_declaration_needs_or_needed(
    project: Project, connect: Connect
) -> None:
    project.models(
        CUSTOMERS + INVOICE + "    tenant: Mapped[str]\n    note: Mapped[str | None]\n"
        'auditdb.declare(Invoice, account="tenant", operational=["note"])\n'
    )
    project.migrate("one")
    project.models(
        CUSTOMERS
        + INVOICE
        + '    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", name="fk"))\n'
        'auditdb.declare(Invoice, account="c.tenant", lookups={"c": "customer_id"})\n'
    )
    source = project.migrate("two")
    steps = [
        line[3 : line.index("(")]
        for line in body(source, "upgrade").splitlines()
        if line.startswith("op.")
    ]
    assert steps == [
        "add_column",
        "create_foreign_key",
        "track_table",
        "drop_column",
        "drop_column",
    ]
    project.check()
    project.downgrade("one")
    before = tracked(connect)
    assert before is not None
    assert (before["account"], before["operational"], before["lookups"]) == (
        "tenant",
        ["note"],
        {},
    )
    project.upgrade("two")
    now = tracked(connect)
    assert now is not None
    assert (now["account"], now["lookups"]) == ("c.tenant", {"c": "customer_id"})


def test_a_lookup_taken_back_together_with_its_foreign_key(
    project: Project, connect: Connect
) -> None:
    key = (
        '    customer_id: Mapped[int] = mapped_column({}ForeignKey("customers.id", name="fk"){})\n'
    )
    project.models(
        CUSTOMERS
        + INVOICE
        + key.format("", "")
        + 'auditdb.declare(Invoice, account="c.tenant", lookups={"c": "customer_id"})\n'
    )
    project.migrate("one")
    project.models(CUSTOMERS + INVOICE + "    customer_id: Mapped[int]\nauditdb.declare(Invoice)\n")
    source = body(project.migrate("two"), "upgrade")
    assert source.index("op.track_table('invoices')") < source.index("op.drop_constraint")
    project.check()
    project.downgrade("one")
    before = tracked(connect)
    assert before is not None
    assert before["lookups"] == {"c": "customer_id"}


@pytest.mark.parametrize(
    "declaration",
    [
        'Tracked(item_type="invoices")',
        'Tracked(operational=["token", "number"])',
        'Tracked(operational=("number", "token", "number"))',
        'Tracked(item_label="", lookups={}, actions=None)',
        """Tracked(actions=[Action("invoices_created", "insert"),
            Action("invoices_updated", ["update"]),
            {"action": "invoices_deleted", "on": "delete"}])""",
        """Tracked(actions=[Action("a", ["delete", "insert"]), Action("b", "update",
            columns=["token", "number"], when="old.id > 0", label="B", description="")])""",
        'Tracked(part="rows", part_name="number", item_type="x", item_id="id")',
        'Tracked(parent_type="x", parent_id="id", accounts="select new.number")',
        "Tracked(actions=[])",
    ],
)
def test_what_is_equal_makes_no_difference(project: Project, declaration: str) -> None:
    project.models(INVOICE + f'    __table_args__ = {{"info": {{"audit": {declaration}}}}}\n')
    project.migrate("one")
    project.check()
    assert body(project.revision("two"), "upgrade") == "pass"


def test_a_declaration_made_in_sql_is_equal_to_the_same_in_python(
    project: Project, connect: Connect
) -> None:
    project.models(INVOICE)
    project.migrate("one")
    with connect() as conn:
        conn.execute(
            "select audit.track('invoices', secret => '{token, token}', actions => %s)",
            ['[{"action": "a", "on": ["update", "insert"], "grouped": false, "label": null}]'],
        )
    project.models(
        INVOICE + "auditdb.declare(Invoice, secret=[Invoice.token], actions=["
        'Action("a", ("insert", "update"))])\n'
    )
    project.check()


def test_tables_that_are_not_in_the_metadata_stay_as_they_are(
    project: Project, connect: Connect
) -> None:
    with connect() as conn:
        conn.execute("create table other (id int primary key); select audit.track('other')")
    project.models(DECLARED)
    env = project.directory / "alembic" / "env.py"
    env.write_text(
        env.read_text().replace(
            "target_metadata=target_metadata",
            "target_metadata=target_metadata, include_name=lambda name, kind, parents:"
            " kind != 'table' or name == 'invoices'",
        )
    )
    source = project.migrate("one")
    assert "other" not in source
    assert tracked(connect, "public.other") is not None
    assert tracked(connect, "licensing.licenses") is not None


@pytest.mark.parametrize(
    "option",
    [
        "include_name=lambda name, kind, parents: name != 'invoices'",
        "include_object=lambda item, name, kind, reflected, other: name != 'invoices'",
    ],
)
def test_tables_that_filters_leave_out_are_left_alone(
    tmp_path: Path, database: str, connect: Connect, option: str
) -> None:
    with connect() as conn:
        conn.execute("create table invoices (id int primary key); select audit.track('invoices')")
    project = Project.new(tmp_path, database, options=f", {option}")
    project.models(INVOICE if "include_object" in option else "")
    assert body(project.revision("one"), "upgrade") == "pass"


def test_the_audit_log_itself_does_not_show_up(tmp_path: Path, database: str) -> None:
    project = Project.new(
        tmp_path,
        database,
        options=", include_schemas=True, version_table_schema='public',"
        " include_name=lambda name, kind, parents: name != 'licensing'",
    )
    # A model for reading the log is no table to create.
    project.models(
        DECLARED + 'Table("log", Base.metadata, Column("id", BigInteger), schema="audit")\n'
    )
    source = project.migrate("one")
    assert "audit" not in source
    assert "drop_" not in body(source, "upgrade")
    project.check()


@pytest.mark.parametrize("path", ["public, audit", "audit, public"])
def test_schema_audit_on_the_search_path(
    tmp_path: Path, database: str, connect: Connect, path: str
) -> None:
    with connect(autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute(f"alter database {name} set search_path = {path}".encode())
    bare = Project.new(tmp_path / "bare", database)
    bare.models("")
    with pytest.raises(MigrationFailed, match="version_table_schema"):
        bare.upgrade("heads")
    project = Project.new(tmp_path / "named", database, options=", version_table_schema='public'")
    project.models(DECLARED if path == "public, audit" else "")
    assert "drop_" not in body(project.migrate("one"), "upgrade")
    project.check()


def test_without_an_audit_log_only_declared_tables_are_an_error(
    tmp_path: Path, empty_database: str
) -> None:
    project = Project.new(tmp_path, empty_database)
    project.models(INVOICE)
    project.migrate("one")
    project.check()
    project.downgrade("base")
    project.upgrade()
    project.models(DECLARED)
    with pytest.raises(SchemaMissing, match="`auditdb upgrade`"):
        project.check()
    env = project.directory / "alembic" / "env.py"
    env.write_text(
        env.read_text().replace(
            "target_metadata=target_metadata",
            "target_metadata=target_metadata, include_object=lambda *_: False",
        )
    )
    project.check()


def test_a_role_without_rights_on_the_audit_log(
    tmp_path: Path, server: Server, database: str, connect: Connect, create_role: CreateRole
) -> None:
    role = create_role()
    with connect() as conn:
        conn.execute(f"grant create on schema public to {role}".encode())
        name = conn.info.dbname
    project = Project.new(tmp_path, server.url(name, role))
    project.models(INVOICE)
    project.migrate("one")
    project.models(DECLARED)
    with pytest.raises(PermissionDenied, match="may not read which tables"):
        project.revision("two")


def test_a_table_that_cannot_be_tracked(project: Project) -> None:
    project.models(
        'bare = Table("bare", Base.metadata, Column("id", Integer))\nauditdb.declare(bare)\n'
    )
    with pytest.raises(CannotTrack, match="no primary key") as refused:
        project.migrate("one")
    assert refused.value.hint == "alter table public.bare add primary key (...);"


def test_a_declaration_that_the_database_refuses(project: Project) -> None:
    project.models(INVOICE + 'auditdb.declare(Invoice, item_label="nummer")\n')
    with pytest.raises(InvalidDeclaration, match="nummer"):
        project.migrate("one")


def test_something_else_in_the_place_of_a_declaration(project: Project) -> None:
    project.models(INVOICE + 'Invoice.__table__.info["audit"] = {"item_label": "number"}\n')
    with pytest.raises(InvalidDeclaration, match="table invoices is a dict"):
        project.revision("one")


def test_operations_written_by_hand(project: Project, connect: Connect) -> None:
    project.write_revision(
        "one",
        """
        op.execute("create table invoices (id int primary key, number text)")
        op.track_table("invoices", item_label="number", actions=[
            {"action": "invoice_made", "on": "insert"}])
        op.track_table("invoices", schema="public")
        """,
        'op.untrack_table("invoices", schema="public")\nop.drop_table("invoices")',
    )
    project.models("")
    project.upgrade()
    found = tracked(connect)
    assert found is not None
    assert found["item_label"] is None
    project.downgrade("base")


def test_untracking_twice_by_hand(project: Project, connect: Connect) -> None:
    project.write_revision(
        "one",
        """
        op.execute("create table invoices (id int primary key)")
        op.track_table("invoices")
        op.untrack_table("invoices")
        op.untrack_table("invoices", schema="public")
        """,
        'op.untrack_table("invoices")\nop.drop_table("invoices")',
    )
    project.models("")
    project.upgrade()
    assert tracked(connect) is None
    project.downgrade("base")


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    project = Project.new(tmp_path, "postgresql:///x")
    project = Project(tmp_path, f"sqlite:///{tmp_path}/x.db")
    project.models(DECLARED)
    source = project.migrate("one")
    assert "track" not in source
    project.check()
