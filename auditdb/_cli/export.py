"""The command `auditdb export`: takes the log out of a database, into files or to stdout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auditdb._cli.arguments import (
    Url,
    check_range,
    is_relative,
    parse_item,
    parse_pair,
    parse_time,
)
from auditdb._cli.progress import progress
from auditdb._cli.saying import outcome, say
from auditdb._export import exporting, formats
from auditdb._export.selection import Selection
from auditdb._upkeep import database


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
    with outcome(), progress() as bar:
        where = database.resolve(url)
        if target == "-":
            done = exporting.to_stream(where, sys.stdout.buffer, request, bar)
        else:
            done = exporting.to_directory(where, Path(target), request, bar)
    if target != "-":
        begun = " (gone on with)" if done.went_on else ""
        say(f"{target}: {done.rows} rows in {len(done.files)} file(s){begun}.")
        say(f"sha256 {done.sha256}")
