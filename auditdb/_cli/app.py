"""The command line: stdout is data, stderr is talk."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from auditdb._cli import check, export, maintain, tables
from auditdb._cli.arguments import check_range, parse_item, parse_pair, parse_time
from auditdb._cli.terminal import EXIT_CODES, Terminal, Url, outcome, say
from auditdb._export import follow, read_transaction
from auditdb._export.selection import Selection
from auditdb._query.queries import events
from auditdb._query.records import Page
from auditdb._upkeep import database, migrate
from auditdb.errors import hinted

if TYPE_CHECKING:
    from rich.console import Console

PartitionInterval = Literal["month", "quarter", "year"]

app = typer.Typer(
    name="auditdb",
    help="An audit log that PostgreSQL keeps by itself.",
    epilog=EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(epilog=EXIT_CODES)(check.check)
app.command("export", epilog=EXIT_CODES)(export.export_log)
app.command("verify", epilog=EXIT_CODES)(export.verify_export)
app.command("import", epilog=EXIT_CODES)(export.import_export)

app.command(epilog=EXIT_CODES)(maintain.maintain)


def main() -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character shows its number.
            stream.reconfigure(errors="backslashreplace")
    # What psycopg would warn of, such as a rollback after Ctrl-C, the commands say themselves.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    app(prog_name="auditdb")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"auditdb {version('auditdb')}")
        raise typer.Exit


@app.callback()
def _auditdb(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """An audit log that PostgreSQL keeps by itself."""


@app.command(epilog=EXIT_CODES)
def upgrade(
    revision: Annotated[
        str,
        typer.Argument(
            metavar="[REVISION]",
            help="heads: all there is; audit@head: the engine alone; or a revision.",
        ),
    ] = "heads",
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL for psql -1 instead of running it.")
    ] = False,
    partitions: Annotated[
        PartitionInterval | None,
        typer.Option("--partitions", help="For a new log: what a partition of it spans."),
    ] = None,
    url: Url = None,
) -> None:
    """Bring the database up to date, in one transaction."""
    with outcome():
        if sql:
            typer.echo(migrate.script(revision), nl=False)
            return
        where = database.resolve(url)
        ran = migrate.upgrade(where, revision, partition_interval=partitions)
        for title in ran:
            say(f"upgraded to {title}")
        say(f"{database.describe(where)} {'was upgraded' if ran else 'is up to date'}.")
        if missing := migrate.missing_roles(where):
            say("This role may create no roles. For readers of the log, let a DBA run:")
            for statement in missing:
                say(statement)


@app.command(epilog=EXIT_CODES)
def current(url: Url = None) -> None:
    """Print the revision of each branch; exit with 1 if the database is behind."""
    with outcome():
        with database.connect(database.resolve(url), accept="any") as connection:
            state = migrate.current(connection)
        for branch in state.branches:
            standing = f"head is {branch.head}" if branch.missing else "up to date"
            typer.echo(f"{branch.name}: {branch.current or 'not installed'} ({standing})")
        for revision in state.unknown:
            say(f"{revision} is unknown here: the database was upgraded by a newer auditdb.")
        for title in state.missing:
            say(f"missing: {title}")
        if state.missing:
            say("The database is behind: run `auditdb upgrade`.")
        if state.missing or state.unknown:
            raise typer.Exit(1)


@app.command("log", epilog=EXIT_CODES)
def show_log(
    account: Annotated[str | None, typer.Option(metavar="ID", help="Only this account.")] = None,
    item: Annotated[
        str | None,
        typer.Option(metavar="TYPE:ID", help="Only this item, such as license:42, and its parts."),
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(metavar="ACTION", help="Only this action; may be given several times."),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(metavar="TYPE[:ID]", help="Only this actor, such as platform_user:42."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="From this time on: ISO 8601, in UTC, or so long ago as 7d, 12h."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before this time, given as for --since.")
    ] = None,
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
            "--json/--table", help="JSON Lines or a table; by default a table in a terminal."
        ),
    ] = None,
    follow_on: Annotated[
        bool, typer.Option("--follow", help="Print new events as they are committed, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.05, metavar="SECONDS", help="With --follow: how often to look.")
    ] = 1.0,
    url: Url = None,
) -> None:
    """Print what was done, by whom and to what, newest first."""
    if follow_on and (cursor or all_pages):
        raise typer.BadParameter("--follow goes forward: leave out --cursor and --all.")
    wanted = Selection(
        account,
        parse_item(item),
        tuple(action or ()),
        None if actor is None else parse_pair(actor, "--actor"),
        parse_time(since, "--since"),
        parse_time(until, "--until"),
    )
    check_range(wanted.since, wanted.until)
    console = Terminal(highlight=False)
    lines = not console.is_terminal if as_json is None else as_json
    with outcome(), database.connect(database.resolve(url)) as connection:
        if account is not None:
            # What a reader under row security may see.
            connection.execute("select set_config('audit.account_id', %s, false)", [account])
        elif not read_transaction.sees_all(connection):
            say("Row security shows this role one account: without --account, the rows of none.")
        if follow_on:
            with hinted("When it is back, go on with --since and the time of the last event."):
                for found in follow.batches(connection, wanted, interval=interval):
                    _print(Page(tuple(found), None), None if lines else console)
        while True:
            page = events(
                connection,
                account_id=wanted.account,
                item=wanted.item,
                action=wanted.actions or None,
                actor=wanted.actor,
                since=wanted.since,
                until=wanted.until,
                limit=limit,
                cursor=cursor,
            )
            _print(page, None if lines else console)
            cursor = page.next_cursor
            if cursor is None or not all_pages:
                break
        if not page.events:
            say("No events.")
        if page.next_cursor:
            say(f"There are more: add --cursor {page.next_cursor} for the next page, or --all.")


def _print(page: Page, console: Console | None) -> None:
    """Print the events of `page` as a table on `console`, or as JSON Lines without one."""
    if console is None:
        for event in page.events:
            sys.stdout.buffer.write(f"{tables.json_line(event)}\n".encode())
        sys.stdout.buffer.flush()
    elif page.events:
        console.print(tables.events_table(page.events, width=console.width))


@app.command(epilog=EXIT_CODES)
def demo(
    scale: Annotated[int, typer.Option(min=1, metavar="N", help="So many times the data.")] = 1,
    reset: Annotated[bool, typer.Option("--reset", help="Begin with a new server.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the server; its data stay.")] = False,
) -> None:
    """Run a licensing platform on a PostgreSQL of its own and show the log of it."""
    if stop and reset:
        raise typer.BadParameter("--stop keeps the data, --reset deletes them: give one of them.")
    with outcome():
        # Here, for the other commands work without what it imports.
        from auditdb._cli import demo as platform

        if stop:
            platform.stop()
        else:
            platform.run(scale, reset, Terminal(highlight=False))
