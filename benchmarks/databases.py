"""Makes the databases of a run: one template for each workload, and a copy for each system."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from auditdb._upkeep import migrate
from benchmarks.backend import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.systems import System
    from tests.support.servers import Server

# The tables that exist without any audit.
_OWN = """
select c.oid::regclass::text
from pg_class as c
where c.relkind in ('r', 'p')
  and c.relnamespace in ('licensing'::regnamespace, 'public'::regnamespace)
"""
_LICENSES = """
select audit.untrack(t.target) from audit.tracked as t;
insert into licensing.accounts (name) select 'Account ' || g from generate_series(1, 10) as g;
insert into licensing.products (account_id, name, code)
  select g, 'Product ' || g, 'product-' || g from generate_series(1, 10) as g;
insert into licensing.customers (account_id, email)
  select 1 + g % 10, 'customer' || g || '@example.com' from generate_series(1, 100) as g;
insert into licensing.orders (account_id, customer_id, reference)
  select 1 + g % 10, 1 + g % 100, 'R-' || g from generate_series(1, 1000) as g;
insert into licensing.licenses (account_id, product_id, order_id, customer_id, license_key, note)
  select 1 + g % 10, 1 + g % 10, 1 + g % 1000, 1 + g % 100, 'AAAA-BBBB-CCCC-' || g, 'note ' || g
  from generate_series(1, 20000) as g;
"""
APPLICATION = "benchmark_application"
"""A role that may write the application's tables and what peers log to: no superuser, as in use."""
_APPLICATION = f"""
do $$
declare
  v_schema name;
begin
  if not exists (select from pg_roles where rolname = '{APPLICATION}') then
    create role {APPLICATION};
  end if;
  for v_schema in
    select n.nspname from pg_namespace as n where n.nspname !~ '^(pg_|information_schema$|audit$)'
  loop
    execute format('grant usage on schema %1$I to {APPLICATION};
      grant all on all tables in schema %1$I to {APPLICATION};
      grant all on all sequences in schema %1$I to {APPLICATION}', v_schema);
  end loop;
end;
$$;
"""
LICENSES = 20_000
"""Licenses in the template, with the ids from 1 on."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A template of databases."""

    template: str
    written: list[str]
    """The tables of the application, so that all others are the log's."""


def licenses(server: Server) -> Workload:
    """Make the template with the core tables and rows in them."""
    return _template(server, "licenses", lambda name: _execute(server, name, _LICENSES))


def pgbench(server: Server, scale: int) -> Workload:
    """Make the template with pgbench's own tables; its history gets a primary key."""

    def fill(name: str) -> None:
        _execute(server, name, "select audit.untrack(t.target) from audit.tracked as t")
        server.run("pgbench", "-i", "-q", "-s", str(scale), name)
        key = "add id bigint generated always as identity primary key"
        _execute(server, name, f"alter table pgbench_history {key}")

    return _template(server, "pgbench", fill)


def _template(server: Server, name: str, fill: Callable[[str], None]) -> Workload:
    if not _exists(server, name):
        quiet(server)
        _create(server, name, "template0")
        migrate.upgrade(server.url(name), "heads")
        fill(name)
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        connection.execute("vacuum analyze")
        written = [str(table) for (table,) in connection.execute(_OWN).fetchall()]
    return Workload(name, written)


def _exists(server: Server, name: str) -> bool:
    with psycopg.connect(server.url(server.maintenance)) as connection:
        found = connection.execute("select from pg_database where datname = %s", (name,))
        return found.fetchone() is not None


def _create(server: Server, name: str, template: str) -> None:
    server.execute("drop database if exists {} with (force)", name)
    server.execute("create database {} template {}", name, template)
    # Peers name tables without a schema; the same path for everybody.
    server.execute("alter database {} set search_path = public, licensing", name)


def _execute(server: Server, name: str, statements: str) -> None:
    with psycopg.connect(server.url(name)) as connection:
        connection.execute(statements.encode())


def install(
    server: Server,
    workload: Workload,
    systems: Sequence[System],
    progress: Callable[[str], None],
) -> list[System]:
    """Make a database for each system, where it is set up; return those that could be.

    A system that cannot be set up is named with its reason, and left out. What was set up once is
    kept, and copied for the next benchmark.
    """
    ready = []
    for system in systems:
        pristine = f"{workload.template} {system.name} as set up"
        if not _exists(server, pristine):
            _create(server, pristine, workload.template)
            began = time.monotonic()
            reason = system.install(server.url(pristine), workload.template)
            if reason:
                progress(f"{system.name} is left out: {reason}")
                server.execute("drop database {} with (force)", pristine)
                continue
            progress(f"{system.name} is set up ({time.monotonic() - began:.1f} s)")
        _create(server, database_of(workload, system), pristine)
        ready.append(system)
    return ready


def database_of(workload: Workload, system: System) -> str:
    """Return the name of a system's database."""
    return f"{workload.template} {system.name}"


def admit(server: Server, workload: Workload, system: System) -> None:
    """Let APPLICATION write in a system's database."""
    _execute(server, database_of(workload, system), _APPLICATION)


def vacuum(server: Server, workload: Workload, system: System) -> None:
    """Take away what earlier turns left in the application's tables: autovacuum is off."""
    name = database_of(workload, system)
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        # Names as regclass shows them, quoted where they must be.
        connection.execute(f"vacuum {', '.join(workload.written)}".encode())


def declaration(workload: str) -> str:
    """Return the statements that track the tables of a workload with auditdb."""
    if workload == "licenses":
        path = Path(__file__).parents[1] / "sql" / "licensing" / "actions" / "licenses.sql"
        return path.read_text("utf-8")
    items = {"accounts": "account", "tellers": "teller", "branches": "branch"}
    tables = {**items, "history": "transfer"}
    return "".join(
        f"select audit.track('pgbench_{table}', item_type => '{item}');\n"
        for table, item in tables.items()
    )
