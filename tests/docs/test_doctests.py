"""The examples in the docstrings of the package run, on a database with a known history."""

import asyncio
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import psycopg
import pytest

import auditdb
from tests.conftest import Connect
from tests.support.helpers import value

_TABLES = """
create table public.invoice (id int primary key, number text, status text, total numeric);
create table public.payment (id int primary key, invoice_id int, amount numeric);
create table public.customer (id int primary key);
select audit.track('public.invoice', item_label => 'number');
select audit.track('public.payment');
"""


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(auditdb.__path__, "auditdb."):
        if found.name != "auditdb.__main__":
            yield importlib.import_module(found.name)


def examples() -> Iterator[Any]:
    """Yield each docstring with examples, as a parameter named by where it stands."""
    finder = doctest.DocTestFinder()
    for module in modules():
        own = {
            name: thing
            for name, thing in vars(module).items()
            if getattr(thing, "__module__", None) == module.__name__ and callable(thing)
        }
        for name, thing in own.items():
            for found in finder.find(thing, f"{module.__name__}.{name}", False, globs={}):
                if found.examples:
                    yield pytest.param(found, module, id=found.name.removeprefix("auditdb."))


@pytest.fixture
def names(connect: Connect, database: str) -> dict[str, Any]:
    """What an example can name: a connection to a database with a few rows, and the package."""
    conn = connect()
    conn.execute(_TABLES.encode())
    conn.execute("insert into public.invoice values (42, 'R-2026-17', 'open', 99.90)")
    conn.commit()
    before_payment = value(conn, "select clock_timestamp()")
    conn.execute("select audit.set_actor('employee', '7', 'Ana')")
    conn.execute("update public.invoice set status = 'paid'")
    conn.execute("insert into public.payment values (1, 42, 99.90)")
    conn.commit()
    public = {name: getattr(auditdb, name) for name in auditdb.__all__}
    return public | {
        "asyncio": asyncio,
        "auditdb": auditdb,
        "before_payment": before_payment,
        "conn": conn,
        "psycopg": psycopg,
        "timedelta": timedelta,
        "url": database,
    }


@pytest.mark.parametrize(("example", "module"), list(examples()))
def test_an_example_gives_what_it_says(
    example: doctest.DocTest, module: ModuleType, names: dict[str, Any]
) -> None:
    example.globs = {**vars(module), **names}
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    results = runner.run(example, out=said.append)
    assert results.failed == 0, "".join(said)
    assert results.attempted == len(example.examples)


@pytest.mark.parametrize(
    "name",
    [
        "changes",
        "check",
        "counts",
        "events",
        "field_history",
        "item_history",
        "iter_events",
        "state_at",
        "transaction_events",
        "translate",
        "translated",
        "undo",
        "undo_plan",
        "upgrade",
        "value_at",
    ],
)
def test_every_helper_has_an_example(name: str) -> None:
    assert ">>> " in getattr(auditdb, name).__doc__
