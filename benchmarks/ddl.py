"""Measures what DDL and upkeep cost where some tables are tracked, and where many are.

CPU time of the backend, in a database with as many tables, with auditdb and without.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from auditdb._upkeep import migrate
from benchmarks.backend import Watched, quiet
from benchmarks.effort import effort as default_effort
from benchmarks.systems import AUDITDB, UNAUDITED
from benchmarks.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from benchmarks.systems import System
    from tests.support.servers import Server

SYSTEMS = (UNAUDITED, AUDITDB)
_TURNS = 5
_TABLE: LiteralString = """
create table thing_{number} (
  id bigint primary key, name text, note text, price numeric, is_sold boolean, made_at timestamptz)
"""
_FORGET: LiteralString = "select audit.untrack(t.target) from audit.tracked as t"
# ALTER without auditdb's following it, so that what it takes to compile the table is seen alone.
_UNFOLLOWED: LiteralString = """
do $$
declare
  v_trigger record;
begin
  for v_trigger in select evtname from pg_event_trigger where evtname like 'audit\\_%' loop
    execute format('alter event trigger %I disable', v_trigger.evtname);
  end loop;
  alter table thing_1 add column unfollowed text;
  for v_trigger in select evtname from pg_event_trigger where evtname like 'audit\\_%' loop
    execute format('alter event trigger %I enable always', v_trigger.evtname);
  end loop;
end;
$$
"""
_COMPILING = "compiling a tracked table after such an ALTER"
_ALONE: dict[str, LiteralString] = {
    _COMPILING: "select audit.refresh('thing_1')",
    "audit.refresh(), idle": "select audit.refresh()",
    "audit.check()": "select count(*) from audit.check()",
}
"""Where there is no log there is nothing to compare these with."""


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    systems: Sequence[System] = SYSTEMS,
    effort: Effort | None = None,
) -> list[Result]:
    """Measure the CPU time of each, by how many tables there are."""
    effort = effort or default_effort(server.version, full=full)
    chosen = [system for system in systems if system in SYSTEMS]
    turns = Turns("ddl", server.version)
    quiet(server)
    for system in chosen:
        name = f"ddl {system.name}"
        server.execute("drop database if exists {} with (force)", name)
        server.execute("create database {} template template0", name)
        if system is AUDITDB:
            migrate.upgrade(server.url(name), "heads")
        with closing(Watched(server.url(name), ())) as session:
            _many_tables(session, system, effort.tracked, turns, progress)
            _partitions(session, system, effort.partitions, turns)
        progress(f"partitions: {system.name}")
    return turns.results()


def _many_tables(
    session: Watched,
    system: System,
    sizes: Sequence[int],
    turns: Turns,
    progress: Callable[[str], None],
) -> None:
    is_audited = system is AUDITDB
    if is_audited:
        session.connection.execute(_FORGET)
    made = 0
    for size in sizes:
        for number in range(made + 1, size + 1):
            session.connection.execute(sql.SQL(_TABLE).format(number=sql.SQL(str(number))))
            if is_audited:
                session.connection.execute("select audit.track(%s)", (f"thing_{number}",))
        made = size
        beside = f", {size:,} tracked table{'s' * (size > 1)}"
        for turn in range(_TURNS):
            _statements(session, system, f"{size}_{turn}", beside, turns)
        progress(f"DDL: {system.name}{beside}")


def _statements(session: Watched, system: System, name: str, beside: str, turns: Turns) -> None:
    """Measure each once, the first time in a session as well as later ones."""
    column = sql.Identifier(f"added_{name}")
    statements = {
        "create temp table": sql.SQL("create temp table {} (id int)").format(column),
        "alter table, add column": sql.SQL("alter table thing_1 add column {} text").format(column),
    }
    for title, statement in statements.items():
        _one(session, title + beside, system, statement, turns)
    if system is AUDITDB:
        for title, command in _ALONE.items():
            if title == _COMPILING:
                session.connection.execute(_UNFOLLOWED)
            _one(session, title + beside, system, command, turns)
        session.connection.execute("alter table thing_1 drop column unfollowed")
    # The table stays as it was, however many turns there were: it is other tables that are added.
    session.connection.execute(sql.SQL("alter table thing_1 drop column {}").format(column))


def _one(
    session: Watched,
    case: str,
    system: System,
    command: sql.Composed | LiteralString,
    turns: Turns,
) -> None:
    before = session.cpu()
    session.connection.execute(command)
    turns.add(case, system.name, "cpu", session.cpu() - before, "µs")


def _partitions(session: Watched, system: System, count: int, turns: Turns) -> None:
    """Measure the first insert into each partition of one table."""
    session.connection.execute(
        "create table parted (id bigint, part int, note text, primary key (id, part)) "
        "partition by list (part)"
    )
    for number in range(count):
        session.connection.execute(
            sql.SQL("create table {} partition of parted for values in ({})").format(
                sql.Identifier(f"parted_{number}"), number
            )
        )
    if system is AUDITDB:
        session.connection.execute("select audit.track('parted', item_id => 'id')")
    before = session.cpu()
    for number in range(count):
        session.connection.execute("insert into parted values (%s, %s, 'x')", (number, number))
    case = f"a first insert into each of {count:,} partitions"
    turns.add(case, system.name, "cpu", session.cpu() - before, "µs")
