"""The page of what is public lists all of it, and nothing that the package or database has not."""

import ast
import importlib
import inspect
import pkgutil
import re
from importlib.metadata import distribution
from pathlib import Path

import psycopg
import pytest
from alembic.operations import Operations

import auditdb
from auditdb import errors
from tests.docs.test_docs import named, section, sections
from tests.support import ROOT

pytestmark = pytest.mark.quick

PUBLIC = ROOT / "docs" / "public.md"
MODULES = ["auditdb"] + [
    f"auditdb.{module.name}"
    for module in pkgutil.iter_modules(auditdb.__path__)
    if not module.name.startswith("_")
]


def listed(title: str) -> set[str]:
    """Return the names that a section of the page lists."""
    return named(sections(PUBLIC)[title])


def names_of(connection: psycopg.Connection, query: bytes) -> set[str]:
    return {name for (name,) in connection.execute(query).fetchall()}


# -- Python ------------------------------------------------------------------------------------


def test_the_public_modules_are_listed() -> None:
    titles = set(sections(PUBLIC))
    assert {title for title in titles if re.fullmatch(r"auditdb(\.\w+)?", title)} == set(MODULES)


def test_the_names_of_the_package_are_listed() -> None:
    ours = listed("auditdb") - {"__version__"} | listed("auditdb.errors")
    assert ours == set(auditdb.__all__)
    assert auditdb.__all__ == sorted(auditdb.__all__)


def test_every_error_is_listed_and_can_be_imported_from_the_package() -> None:
    classes = {
        name
        for name, thing in vars(errors).items()
        if inspect.isclass(thing) and issubclass(thing, errors.AuditError)
    }
    assert listed("auditdb.errors") == classes | {"translate", "translated"}
    for name in listed("auditdb.errors"):
        assert getattr(auditdb, name) is getattr(errors, name)


def test_every_error_that_a_page_mentions_can_be_imported_from_the_package() -> None:
    """What stands as code and reads like an error of ours: a class whose kin are errors."""
    pages = "\n".join(page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md")))
    mentioned = {name for name in named(pages) if name in vars(errors) and name[0].isupper()}
    assert len(mentioned) > 20
    assert mentioned <= set(auditdb.__all__)


@pytest.mark.parametrize("module", ["auditdb.asgi", "auditdb.wsgi"])
def test_the_names_of_a_face_are_listed(module: str) -> None:
    assert listed(module) == set(importlib.import_module(module).__all__)


def test_the_names_for_alembic_are_listed() -> None:
    names = set(importlib.import_module("auditdb.alembic").__all__)
    operations = {
        name
        for path in ROOT.glob("auditdb/_tracking/*.py")
        for name in re.findall(r'register_operation\("(\w+)"\)', path.read_text("utf-8"))
    }
    assert listed("auditdb.alembic") == names | operations
    assert operations
    assert all(hasattr(Operations, name) for name in operations)


def test_the_version_is_that_of_the_distribution() -> None:
    assert auditdb.__version__ == distribution("auditdb").version
    assert "__version__" in listed("auditdb")


def test_each_name_is_what_type_checkers_see() -> None:
    """The names are loaded late; the imports that only type checkers read say the same homes."""
    path = Path(str(auditdb.__file__))
    imports = {
        name.name: node.module
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("auditdb.")
        for name in node.names
    }
    assert imports.keys() == set(auditdb.__all__)
    for name, module in imports.items():
        assert getattr(auditdb, name) is getattr(importlib.import_module(module), name), name
    assert set(dir(auditdb)) >= {*auditdb.__all__, "__version__", "errors"}
    with pytest.raises(AttributeError, match="'auditdb' has no attribute 'nonsense'"):
        auditdb.nonsense  # type: ignore[attr-defined] # noqa: B018


def test_the_program_is_listed() -> None:
    scripts = {one.name for one in distribution("auditdb").entry_points}
    assert listed("Command line") == {*scripts, "python -m auditdb"}


# -- SQL ---------------------------------------------------------------------------------------


def test_the_public_functions_are_listed(connection: psycopg.Connection) -> None:
    query = b"""
      select distinct 'audit.' || p.proname from pg_proc as p
      where p.pronamespace = 'audit'::regnamespace
        and obj_description(p.oid, 'pg_proc') like 'Public.%'
    """
    assert listed("Functions") == names_of(connection, query)


def test_the_views_are_listed(connection: psycopg.Connection) -> None:
    query = b"""
      select 'audit.' || c.relname from pg_class as c
      where c.relnamespace = 'audit'::regnamespace and c.relkind in ('v', 'm')
    """
    assert listed("Views") == names_of(connection, query)


def test_the_roles_are_listed(connection: psycopg.Connection) -> None:
    assert listed("Roles") == names_of(
        connection, rb"select rolname from pg_roles where rolname like 'audit\_%'"
    )


def test_the_settings_are_listed() -> None:
    """Those that the engine reads and does not write are for others to set."""
    files = sorted(ROOT.glob("sql/audit/**/*.sql"))
    source = "\n".join(path.read_text("utf-8") for path in files)
    read = set(re.findall(r"\bcurrent_setting\('+(audit\.\w+)", source))
    written = set(re.findall(r"\bset_config\('+(audit\.\w+)", source))
    assert "audit.actor" in read & written
    assert listed("Settings") == read - written
    assert listed("Settings") <= named(section("Settings"))


def test_the_sqlstates_are_listed() -> None:
    assert listed("SQLSTATEs") == {
        one.sqlstate for one in errors.AuditError.__subclasses__() if one.sqlstate
    }
