"""What `auditdb demo` shows: pages of the log, counts, one event, and how to see for oneself."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich import box
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from auditdb._cli import tables
from auditdb._demo.office import VENDORS
from auditdb._query.histories import changes
from auditdb._query.queries import events
from auditdb.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg
    from rich.console import Console

    from auditdb._query.records import Event

PAGE = 12
"""The most events in the page of the account."""

ITEM_PAGE = 8
"""The most events in the log of an item."""

# Of a terminal, for two lists of counts beside each other.
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
