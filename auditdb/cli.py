"""The command line: stdout is data, stderr is talk."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from auditdb import database, follow, log, migrate, render
from auditdb.errors import AuditError, InvalidCursor, InvalidUrl
from auditdb.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_CODES = (
    "Exit codes: 0 done; 1 the database, or the state it is in (behind, unreachable, refused); "
    "2 wrong usage; 130 interrupted; 141 the reader of the output went away."
)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

app = typer.Typer(
    name="auditdb",
    help="An audit log that PostgreSQL keeps by itself.",
    epilog=EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The database, as postgresql://user@host/name; by default AUDITDB_URL, then PGHOST, "
        "PGUSER, PGDATABASE and the like.",
    ),
]


class _Console(Console):
    """A console that leaves it to the command what to do when its reader goes away."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def main() -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character shows its number.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="auditdb")


@contextmanager
def _outcome() -> Iterator[None]:
    """Turn what can happen to a command into a word on stderr and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except AuditError as error:
        _say(f"auditdb: {error.message}")
        if error.hint:
            _say(error.hint)
        is_usage = isinstance(error, InvalidUrl | InvalidCursor)
        raise typer.Exit(2 if is_usage else 1) from None
    except UnicodeEncodeError:
        _say("auditdb: an argument is not UTF-8.")
        raise typer.Exit(2) from None
    except BrokenPipeError:
        # Python would try to flush once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _say(words: str) -> None:
    typer.echo(render.visible(words), err=True)


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
    url: Url = None,
) -> None:
    """Bring the database up to date, in one transaction."""
    with _outcome():
        if sql:
            typer.echo(migrate.script(revision), nl=False)
            return
        where = database.resolve(url)
        ran = migrate.upgrade(where, revision)
        for title in ran:
            _say(f"upgraded to {title}")
        _say(f"{database.describe(where)} {'was upgraded' if ran else 'is up to date'}.")


@app.command(epilog=EXIT_CODES)
def current(url: Url = None) -> None:
    """Print the revision of each branch; exit with 1 if the database is behind."""
    with _outcome():
        with database.connect(database.resolve(url)) as connection:
            state = migrate.current(connection)
        for branch in state.branches:
            standing = f"head is {branch.head}" if branch.missing else "up to date"
            typer.echo(f"{branch.name}: {branch.current or 'not installed'} ({standing})")
        for revision in state.unknown:
            _say(f"{revision} is unknown here: the database was upgraded by a newer auditdb.")
        for title in state.missing:
            _say(f"missing: {title}")
        if state.missing:
            _say("The database is behind: run `auditdb upgrade`.")
        if state.missing or state.unknown:
            raise typer.Exit(1)


def _parse_pair(value: str, option: str) -> tuple[str, str | None]:
    kind, colon, number = value.partition(":")
    if not kind or (colon and not number):
        raise typer.BadParameter(f"{value!r} is not TYPE:ID.", param_hint=option)
    return kind, number or None


def _parse_item(value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    kind, number = _parse_pair(value, "--item")
    if number is None:
        raise typer.BadParameter(f"{value!r} has no id; write {value}:42.", param_hint="--item")
    return kind, number


def _parse_time(value: str | None, option: str) -> datetime | None:
    """Return the time that `value` means: ISO 8601, or so long ago as 90s, 15m, 12h, 7d, 2w."""
    if value is None:
        return None
    ago = re.fullmatch(r"(\d+)([smhdw])", value)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{value!r} is no time; write 2026-01-31, 2026-01-31T12:00Z or 7d.", param_hint=option
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
    before: Annotated[
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
    if follow_on and (before or all_pages):
        raise typer.BadParameter("--follow goes forward: leave out --before and --all.")
    wanted = log.Filter(
        account=account,
        item=_parse_item(item),
        actions=tuple(action or ()),
        actor=None if actor is None else _parse_pair(actor, "--actor"),
        since=_parse_time(since, "--since"),
        until=_parse_time(until, "--until"),
    )
    console = _Console(highlight=False)
    lines = not console.is_terminal if as_json is None else as_json
    with _outcome(), database.connect(database.resolve(url)) as connection:
        if follow_on:
            selection = Selection(
                wanted.account,
                wanted.item,
                wanted.actions,
                wanted.actor,
                wanted.since,
                wanted.until,
            )
            for found in follow.batches(connection, selection, interval=interval):
                _print(log.Page(tuple(found), None), None if lines else console)
        for page in log.pages(connection, wanted, limit=limit, before=before):
            _print(page, None if lines else console)
            if not all_pages:
                break
        if not page.events:
            _say("No events.")
        if page.next_cursor:
            _say(f"There are more: add --before {page.next_cursor} for the next page, or --all.")


def _print(page: log.Page, console: Console | None) -> None:
    """Print the events of `page` as a table on `console`, or as JSON Lines without one."""
    if console is None:
        for event in page.events:
            sys.stdout.buffer.write(f"{render.json_line(event)}\n".encode())
        sys.stdout.buffer.flush()
    elif page.events:
        console.print(render.events_table(page.events, width=console.width))


@app.command(epilog=EXIT_CODES)
def demo(
    scale: Annotated[int, typer.Option(min=1, metavar="N", help="So many times the data.")] = 1,
    reset: Annotated[bool, typer.Option("--reset", help="Begin with a new server.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the server; its data stay.")] = False,
) -> None:
    """Run a licensing platform on a PostgreSQL of its own and show the log of it."""
    if stop and reset:
        raise typer.BadParameter("--stop keeps the data, --reset deletes them: give one of them.")
    with _outcome():
        # Here, for the other commands work without what it imports.
        from auditdb import demo as platform

        if stop:
            platform.stop()
        else:
            platform.run(scale, reset, _Console(highlight=False))


from auditdb import cli_export  # noqa: E402, F401 (its commands are added to those above)
