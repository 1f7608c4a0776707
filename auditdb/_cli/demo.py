"""`auditdb demo`: a licensing platform at work on a PostgreSQL of its own, and the log of it."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from psycopg import sql
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from auditdb._cli import tables
from auditdb._demo import embedded, simulation
from auditdb._demo import world as demo_world
from auditdb._demo.office import VENDORS
from auditdb._query.queries import changes, events
from auditdb._upkeep import database, migrate
from auditdb.errors import SchemaAhead, SchemaBehind, SchemaMissing, translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import LiteralString

    import psycopg

    from auditdb._query.records import Event

DATABASE = "demo"
ROLE = "platform"
"""Whom the platform connects as: a role with rights on its own tables and none on the log."""

PAGE = 12
"""The most events in the page of the account."""

ITEM_PAGE = 8
"""The most events in the log of an item."""

_ANEW = "Begin anew: auditdb demo --reset."

# Lengths of what goes before the plan, in its unit.
_STARTING = 30
_UPGRADING = 30
_TWO_LISTS = 90
# Of a terminal, for events in lines of five columns; below that emails would be broken.
_FIVE_COLUMNS = 140

_QUERIES = (
    (
        "Who is at work here, and through which application?",
        """\
select actor_type, application, count(*) as events,
  count(distinct action) as actions
from audit.events
group by actor_type, application
order by events desc;""",
    ),
    (
        "Whose licenses were made to last longer, by whom?",
        """\
select occurred_at, item_label as license, old_value, new_value, actor_label
from audit.changes
where action = 'license_updated' and column_name = 'valid_until'
order by occurred_at desc
limit 10;""",
    ),
    (
        "What does the page of one license show?",
        """\
select occurred_at, action_label, item_type, item_label, actor_label, context
from licensing.license_log
where license_id = '{license}'
order by occurred_at desc
limit 20;""",
    ),
)


def run(scale: int, reset: bool, console: Console) -> None:
    """Run the platform with `scale` times the work, and show its log on `console`.

    What was done before is kept, unless `reset`. The server is left running. Raises
    EmbeddedMissing, EmbeddedFailed, and errors of the database as AuditError.
    """
    talk = Console(stderr=True, highlight=False)
    server = embedded.find()
    with embedded.held(server), suggesting_reset():
        began = monotonic()
        plan = simulation.scaled(scale)
        with _progress(talk) as progress:
            task = progress.add_task(
                "PostgreSQL 18 starts", total=plan.length + _STARTING + _UPGRADING
            )
            if reset:
                embedded.remove(server)
            embedded.start(server)
            progress.update(task, advance=_STARTING, description="Schemas are created")
            prepare(server)
            progress.update(task, advance=_UPGRADING, description="Vendors set up their accounts")
            with (
                translated(),
                demo_world.opened(embedded.url(server, DATABASE, ROLE)) as world,
            ):
                for step in simulation.run(world, plan):
                    progress.update(task, advance=step.length, description=step.what)
        done, beats = world.tally["transactions"], world.tally["heartbeats"]
        _say(talk, f"The platform made {done:,} transactions ({monotonic() - began:.0f} s).")
        _say(talk, f"The {beats:,} heartbeats of devices in them are no actions, and left no row.")
        url = embedded.url(server, DATABASE)
        with database.connect(url) as connection:
            license_id = show(connection, console)
        invite(console, url, server.wheel / "psql", license_id)
        _say(talk, f"The server goes on running, its data in {server.home}.")
        _say(talk, f"Stop it: auditdb demo --stop. {_ANEW}")


def stop() -> None:
    """Stop the server of the demo and keep its data; raises as run() does."""
    talk = Console(stderr=True, highlight=False)
    server = embedded.find()
    with embedded.held(server):
        did = embedded.stop(server)
    if did:
        _say(talk, f"The server is stopped. Its data stay in {server.home}.")
        _say(talk, "`auditdb demo` starts it again.")
    else:
        _say(talk, "The server was not running.")


@contextmanager
def suggesting_reset() -> Iterator[None]:
    """Say of a log that migrations do not bring up to date how to begin with a new one."""
    try:
        yield
    except (SchemaAhead, SchemaBehind, SchemaMissing) as error:
        raise SchemaBehind(
            "The data of the demo are of another version than this auditdb.",
            hint=_ANEW,
        ) from error


def prepare(server: embedded.Server) -> None:
    """Bring the database of the demo up to date: for the owner of the log, and the platform."""
    with translated(), database.connect(embedded.url(server, "postgres")) as connection:
        if not _has(connection, "select from pg_database where datname = %s", DATABASE):
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
        if not _has(connection, "select from pg_roles where rolname = %s", ROLE):
            connection.execute(sql.SQL("create role {} login").format(sql.Identifier(ROLE)))
    url = embedded.url(server, DATABASE)
    migrate.upgrade(url)
    with translated(), database.connect(url) as connection:
        grant(connection, ROLE)


def grant(connection: psycopg.Connection[Any], role: str) -> None:
    """Give `role` what an application needs: rights on its own tables, and none on the log."""
    rights = """
        grant usage on schema licensing to {role};
        grant select, insert, update, delete on all tables in schema licensing to {role};
        grant usage on all sequences in schema licensing to {role};
    """
    connection.execute(sql.SQL(rights).format(role=sql.Identifier(role)))


def _has(connection: psycopg.Connection[Any], query: LiteralString, name: str) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None


def show(connection: psycopg.Connection[Any], console: Console) -> str:
    """Show the log of the first vendor on `console`; return the id of the license in it."""
    vendor = next(iter(VENDORS))
    query = "select id::text from licensing.accounts where name = %s"
    with translated():
        (account,) = connection.execute(query, (vendor,)).fetchone() or ("",)
    newest = events(connection, account_id=account, limit=PAGE)
    _section(console, f"The newest events of account {account}, {vendor}")
    _print(console, newest.events)
    _section(console, "How often each action was recorded, in all accounts")
    console.print(_counts(connection, console.width))
    found = {}
    for kind in ("license", "order", "customer", "product"):
        found[kind] = _richest(connection, account, kind)
        item = (kind, found[kind])
        page = events(connection, account_id=account, item=item, limit=ITEM_PAGE)
        _section(console, f"The log of {kind} {found[kind]}")
        _print(console, page.events)
        if page.next_cursor:
            console.print(Text("and older ones", style="dim"))
    updated = events(
        connection,
        account_id=account,
        item=("license", found["license"]),
        action="license_updated",
    )
    widest = max(updated.events, key=lambda event: len(event.changes))
    _section(console, "One event of this license, field by field")
    console.print(tables.changes_table(widest, changes(connection, widest)))
    return found["license"]


def _richest(connection: psycopg.Connection[Any], account: str, kind: str) -> str:
    """Return the id of the item that most kinds of things were done to, by most kinds of actors."""
    query = """
        select item_id
        from audit.events
        where account_id = %s and item_type = %s
        group by item_id
        order by
          count(distinct action) desc, count(distinct actor_type) desc, max(occurred_at) desc
        limit 1
    """
    with translated():
        (found,) = connection.execute(query, (account, kind)).fetchone() or ("",)
    return str(found)


def _counts(connection: psycopg.Connection[Any], width: int) -> Table:
    query = "select action, count(*) from audit.events group by action order by action"
    with translated():
        rows = [(action, f"{count:,}") for action, count in connection.execute(query)]
    lists = 2 if width >= _TWO_LISTS else 1
    length = -(-len(rows) // lists)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for _ in range(lists):
        table.add_column("action", style="bold")
        table.add_column("events", justify="right")
    for at in range(length):
        table.add_row(*(cell for row in rows[at::length] for cell in row))
    return table


def invite(console: Console, url: str, psql: Path, license_id: str) -> None:
    """Print how to look for oneself: the connection string, psql, and three queries."""

    def line(text: str = "", style: str = "") -> None:
        # What is to be copied must not be cut into lines.
        console.print(Text(text, style=style), soft_wrap=True)

    _section(console, "See for yourself")
    line("The connection string:")
    line(f"  {url}", "bold")
    line()
    line("psql came with the server:")
    line(f"  {shlex.quote(str(psql))} \\", "bold")
    line(f"    {shlex.quote(url)}", "bold")
    line()
    line("Three queries to paste into it:")
    for question, query in queries(license_id):
        line()
        line(f"-- {question}", "dim")
        line(query, "bold")
    line()
    line("The same page of that license, without psql:")
    line(f"  auditdb log --item license:{license_id} \\", "bold")
    line(f"    --url {shlex.quote(url)}", "bold")


def queries(license_id: str) -> Iterator[tuple[str, str]]:
    """Yield each query to try, after the question that it answers."""
    for question, query in _QUERIES:
        yield question, query.format(license=license_id)


def _print(console: Console, shown: tuple[Event, ...]) -> None:
    width = console.width
    layout = width if width >= _FIVE_COLUMNS else min(width, tables.WIDE - 1)
    console.print(tables.events_table(shown, width=layout))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Rule(Text(title, style="bold"), align="left", style="dim"))


def _progress(talk: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TimeElapsedColumn(),
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    )


def _say(talk: Console, words: str) -> None:
    talk.print(Text(words), soft_wrap=True)
