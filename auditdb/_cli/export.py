"""The commands that take the log out of a database, prove what was taken, and bring it back."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from auditdb._cli.arguments import check_range, is_relative, parse_item, parse_pair, parse_time
from auditdb._cli.terminal import Url, outcome, say
from auditdb._export import exporting, formats, importing, verify
from auditdb._export.selection import Selection
from auditdb._upkeep import database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Task

Place = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of an export.")]


class _Rate(TextColumn):
    """Rows a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Any:
        """Return the rate, once it is known."""
        speed = task.finished_speed or task.speed
        self.text_format = f"{speed:,.0f} rows/s" if speed else ""
        return super().render(task)


class _Bar:
    """A bar on stderr, where that is a terminal."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._task: TaskID | None = None

    def begin(self, rows: int, done: int) -> None:
        self._task = self._shown.add_task("rows", total=rows, completed=done)

    def advance(self, rows: int) -> None:
        if self._task is not None:
            self._shown.advance(self._task, rows)


@contextmanager
def _progress() -> Iterator[_Bar]:
    shown = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # Not what rich thinks a terminal: a pipe stays one where colours are forced.
        disable=not sys.stderr.isatty(),
    )
    with shown:
        yield _Bar(shown)


def _check(value: str, allowed: tuple[str, ...], option: str) -> str:
    if value not in allowed:
        raise typer.BadParameter(
            f"{value!r} is not one of {', '.join(allowed)}.", param_hint=option
        )
    return value


def _check_increment(target: str, state: Path, since: str | None, until: str | None) -> None:
    if until is not None:
        raise typer.BadParameter(
            "an increment goes up to now: rows left out by --until would never come.",
            param_hint="--since-last",
        )
    if since is not None and is_relative(since):
        raise typer.BadParameter(
            f"with --since-last, give a fixed time instead of {since}.", param_hint="--since"
        )
    if target != "-" and state.absolute().is_relative_to(Path(target).absolute()):
        raise typer.BadParameter(
            f"{state} lies in {target}, which holds the export alone.", param_hint="--since-last"
        )


def export_log(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A new directory, or - for stdout.")
    ],
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this account; by default all.")
    ] = None,
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
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="csv, jsonl or parquet.")
    ] = "csv",
    compress: Annotated[
        str, typer.Option("--compress", metavar="METHOD", help="none, zstd or gzip.")
    ] = "none",
    per_partition: Annotated[
        bool, typer.Option("--per-partition", help="A file for each partition of the log.")
    ] = False,
    spreadsheet: Annotated[
        bool,
        typer.Option("--spreadsheet", help="CSV in which no cell is taken for a formula."),
    ] = False,
    since_last: Annotated[
        Path | None,
        typer.Option(
            metavar="STATE",
            help="Only what came since the export that wrote this file; it is moved on then.",
        ),
    ] = None,
    primary: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Read from a standby, in its safe way, and leave the row about it here.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE:ID", help="Who exports, for the row about it; by default the role."
        ),
    ] = None,
    url: Url = None,
) -> None:
    """Export the log into files that can be verified, or go on with an export that broke off."""
    wanted = Selection(
        account=account,
        item=parse_item(item),
        actions=tuple(action or ()),
        actor=None if actor is None else parse_pair(actor, "--actor"),
        since=parse_time(since, "--since"),
        until=parse_time(until, "--until"),
    )
    check_range(wanted.since, wanted.until)
    if spreadsheet and form != "csv":
        raise typer.BadParameter(
            "only CSV is read by spreadsheets: add --format csv.", param_hint="--spreadsheet"
        )
    if per_partition and target == "-":
        raise typer.BadParameter(
            "one stream is one file: leave it out.", param_hint="--per-partition"
        )
    if since_last is not None:
        _check_increment(target, since_last, since, until)
    kind, number = (None, None) if by is None else parse_pair(by, "--by")
    if kind is not None and number is None:
        raise typer.BadParameter(f"{by!r} has no id; write {by}:42.", param_hint="--by")
    request = exporting.ExportRequest(
        formats.Form(
            _check(form, formats.FORMATS, "--format"),
            _check(compress, formats.COMPRESSIONS, "--compress"),
            spreadsheet,
        ),
        wanted,
        {
            "--account": account,
            "--item": item,
            "--action": sorted(action or ()),
            "--actor": actor,
            "--since": since,
            "--until": until,
            "--format": form,
            "--compress": compress,
            "--per-partition": per_partition,
            "--spreadsheet": spreadsheet,
            "--since-last": None if since_last is None else str(since_last.absolute()),
        },
        per_partition,
        since_last,
        primary,
        None if kind is None or number is None else (kind, number),
    )
    with outcome(), _progress() as bar:
        where = database.resolve(url)
        if target == "-":
            done = exporting.to_stream(where, sys.stdout.buffer, request, bar)
        else:
            done = exporting.to_directory(where, Path(target), request, bar)
    if target != "-":
        begun = " (gone on with)" if done.went_on else ""
        say(f"{target}: {done.rows} rows in {len(done.files)} file(s){begun}.")
        say(f"sha256 {done.sha256}")


def verify_export(directory: Place) -> None:
    """Verify an export without a database; exit with 1 and say what differs, if anything does."""
    with outcome():
        found = verify.directory(directory)
    for mismatch in found.mismatches:
        say(mismatch)
    if found.mismatches:
        raise typer.Exit(1)
    typer.echo(f"{found.manifest.rows} rows in {len(found.manifest.files)} file(s) are intact.")
    typer.echo(f"sha256 {found.manifest.sha256}")


def import_export(directory: Place, url: Url = None) -> None:
    """Import an export as JSON Lines or Parquet into the log of another database."""
    with outcome(), _progress() as bar:
        done = importing.run(database.resolve(url), directory, bar)
    say(f"{done.rows} rows, of which {done.new} were new.")
