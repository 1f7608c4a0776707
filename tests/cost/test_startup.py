"""What the package loads: nothing before it is needed, and only the libraries that are in use."""

import json
import subprocess
import sys

import pytest

from tests.support import ROOT

LIBRARIES = frozenset(
    {
        *("alembic", "asyncio", "asyncpg", "platformdirs", "psycopg", "psycopg2", "pyarrow"),
        *("rich", "sqlalchemy", "starlette", "typer", "werkzeug", "zstandard"),
    }
)
ASYNC = "sqlalchemy.ext.asyncio"
NAMED = """
import auditdb
from auditdb import Actor, actor, current_actor
with actor("system", "nightly-job", label="Job", reason="expiry"):
    assert current_actor() is not None
@actor("system", "nightly-job")
def job() -> None: ...
job()
"""
ENGINE = """
import auditdb, sqlalchemy
engine = auditdb.instrument(sqlalchemy.create_engine("postgresql+{driver}://"))
try:
    with auditdb.actor("system", "nightly-job"), engine.begin() as connection:
        auditdb.events(connection)
except (auditdb.AuditError, sqlalchemy.exc.OperationalError, OSError):
    pass
"""


def loaded(program: str) -> set[str]:
    """Run a program; return the modules that it has loaded when it ends."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport json, sys\nprint(json.dumps([*sys.modules]))"],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={"PGHOST": "127.0.0.1", "PGPORT": "1"},
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


def rooms(modules: set[str]) -> set[str]:
    """Return the rooms of the package that are among the modules."""
    return {name.split(".")[1] for name in modules if name.startswith("auditdb.")}


def libraries(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules} & LIBRARIES


def test_importing_the_package_loads_nothing() -> None:
    modules = loaded("import auditdb")
    assert rooms(modules) == set()
    assert libraries(modules) == set()


@pytest.mark.parametrize(
    "program",
    [
        NAMED,
        "from auditdb.asgi import ActorMiddleware",
        "from auditdb.wsgi import ActorMiddleware",
        "import auditdb\ntry: raise auditdb.AppendOnly\nexcept auditdb.AuditError: pass",
    ],
    ids=["actor", "asgi", "wsgi", "errors"],
)
def test_naming_an_actor_loads_no_driver(program: str) -> None:
    modules = loaded(program)
    assert rooms(modules) <= {"_actor", "_connection", "asgi", "errors", "wsgi"}
    assert libraries(modules) == set()


def test_who_uses_psycopg_alone_loads_it_alone() -> None:
    modules = loaded(
        "import auditdb, psycopg, psycopg_pool\n"
        "pool = auditdb.instrument(psycopg_pool.ConnectionPool(open=False))\n"
        "try:\n"
        "    with psycopg.connect() as connection: auditdb.events(connection)\n"
        "except psycopg.OperationalError: pass\n"
        "auditdb.check, auditdb.state_at, auditdb.iter_events, auditdb.translate"
    )
    assert libraries(modules) == {"asyncio", "psycopg"}  # what psycopg itself loads
    assert not {name for name in rooms(modules) if name.startswith(("_cli", "_demo", "_export"))}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_who_uses_an_engine_loads_neither_sessions_nor_what_is_asynchronous(driver: str) -> None:
    modules = loaded(ENGINE.format(driver=driver))
    assert "auditdb._actor.sqlalchemy_hook" in modules
    assert not {name for name in modules if name.startswith((ASYNC, "sqlalchemy.orm"))}
    assert not libraries(modules) & {"alembic", "rich", "typer", "platformdirs"}


def test_upgrade_loads_alembic_only_when_it_is_called() -> None:
    modules = loaded("from auditdb import *\nupgrade")
    assert "alembic" not in libraries(modules)
    assert not libraries(modules) & {"rich", "typer"}
    called = loaded("import auditdb\ntry: auditdb.upgrade('')\nexcept auditdb.AuditError: pass")
    assert "alembic" in libraries(called)
    assert not libraries(called) & {"rich", "typer"}


def test_a_class_is_known_though_its_library_came_later() -> None:
    """What is looked up among the loaded modules is looked up each time."""
    loaded(
        "import auditdb\n"
        "def refused(one):\n"
        "    try: auditdb.events(one)\n"
        "    except TypeError: return True\n"
        "assert refused(object())\n"
        "from sqlalchemy import create_engine\n"
        "from sqlalchemy.orm import Session\n"
        "try: auditdb.events(Session(create_engine('postgresql+psycopg://')))\n"
        "except auditdb.DatabaseUnreachable: pass\n"
    )
