"""The command `auditdb log`: prints events, a page of them, all, or as they come."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.filter_options import Wanted, with_filters
from auditdb._cli.saying import outcome, say
from auditdb._export import read_transaction
from auditdb._query.queries import page_of
from auditdb._upkeep import database
from auditdb.errors import hinted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import psycopg

    from auditdb._connection.own import OwnConnection
    from auditdb._query.filters import Filter
    from auditdb._query.records import Event

Show: TypeAlias = "Callable[[Iterable[Event]], None]"
"""Prints events to stdout, at once."""


@with_filters
def show_log(
    wanted: Wanted,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Events on a page.")
    ] = 50,
    cursor: Annotated[
        str | None,
        typer.Option(metavar="CURSOR", help="Page on from the cursor that the last page gave."),
    ] = None,
    all_pages: Annotated[bool, typer.Option("--all", help="Go on through all pages.")] = False,
    as_json: Annotated[
        bool | None,
        typer.Option(
            "--json/--text", help="JSON Lines, or a table for people, as by default in a terminal."
        ),
    ] = None,
    follow_on: Annotated[
        bool, typer.Option("--follow", help="Print new events as they are committed, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.05, metavar="SECONDS", help="With --follow: how often to look.")
    ] = 1.0,
    baseline: Annotated[
        bool,
        typer.Option("--baseline", help="Rows too that tell what was there before tracking."),
    ] = False,
    url: Url = None,
) -> None:
    """Print what was done, by whom and to what, newest first."""
    wanted = replace(wanted, baseline=baseline)
    if follow_on and (cursor or all_pages):
        raise typer.BadParameter("--follow goes forward: leave out --cursor and --all.")
    show = _shower(as_json)
    with outcome(), database.connect(database.resolve(url)) as connection:
        _look_as(connection, wanted.account_id)
        if follow_on:
            _follow(connection, wanted, interval, show)
        else:
            _page_on(connection, wanted, limit, cursor, all_pages, show)


def _shower(as_json: bool | None) -> Show:
    """Return what prints events: as JSON Lines, as a table, or for None as stdout wants it."""
    if as_json:
        return _print_lines
    # Here, so that programs that read JSON Lines do not pay for what draws tables.
    from auditdb._cli import tables

    console = tables.Terminal(highlight=False)
    if as_json is None and not console.is_terminal:
        return _print_lines
    return lambda found: console.print(tables.events_table(found, width=console.width))


def _print_lines(found: Iterable[Event]) -> None:
    for event in found:
        sys.stdout.buffer.write(f"{event.as_json()}\n".encode())
    sys.stdout.buffer.flush()


def _look_as(connection: OwnConnection, account: str | None) -> None:
    """Name the account to row security, or say what it shows without one."""
    if account is not None:
        connection.set_in_each("audit.account_id", account)
    elif not read_transaction.sees_all(connection):
        say("Row security shows this role one account: without --account, the rows of none.")


def _follow(connection: psycopg.Connection, wanted: Filter, interval: float, show: Show) -> None:
    from auditdb._export import follow

    with hinted("When it is back, go on with --since and the time of the last event."):
        for found in follow.batches(connection, wanted, interval=interval):
            show(found)


def _page_on(
    connection: psycopg.Connection,
    wanted: Filter,
    limit: int,
    cursor: str | None,
    all_pages: bool,
    show: Show,
) -> None:
    """Show the page at `cursor`, the newest without one, and with `all_pages` all after it."""
    while True:
        with connection.transaction():
            page = page_of(connection, wanted, cursor=cursor, limit=limit)
        if page.events:
            show(page.events)
        cursor = page.next_cursor
        if cursor is None or not all_pages:
            break
    if not page.events:
        say("No events.")
    if page.next_cursor:
        say(f"There are more: add --cursor {page.next_cursor} for the next page, or --all.")
