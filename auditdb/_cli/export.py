"""The command `auditdb export`: takes the log out of a database, into files or to stdout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditdb._cli.arguments import Url, is_relative, parse_actor
from auditdb._cli.filter_options import Wanted, with_filters
from auditdb._cli.progress import progress
from auditdb._cli.saying import outcome, say
from auditdb._export import exporting, files, formats
from auditdb._export.compression import COMPRESSIONS
from auditdb._export.export_request import ExportRequest
from auditdb._upkeep import database

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auditdb._export.formats.base import Form


def _check(value: str, allowed: Iterable[str], option: str) -> str:
    if value not in allowed:
        raise typer.BadParameter(
            f"{value!r} is not one of {', '.join(allowed)}.", param_hint=option
        )
    return value


def _one_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}."


@with_filters
def export_log(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A new directory, or - for stdout.")
    ],
    wanted: Wanted,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help=_one_of(formats.FORMATS))
    ] = "csv",
    compress: Annotated[
        str, typer.Option("--compress", metavar="METHOD", help=_one_of(COMPRESSIONS))
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
    if per_partition and target == "-":
        raise typer.BadParameter(
            "one stream is one file: leave it out.", param_hint="--per-partition"
        )
    if since_last is not None:
        _check_increment(context, target, since_last)
    request = ExportRequest(
        _form(form, compress, spreadsheet=spreadsheet),
        wanted,
        asked_of(context),
        per_partition,
        since_last,
        primary,
        None if by is None else parse_actor(by),
    )
    _run(target, request, url)


def _run(target: str, request: ExportRequest, url: str | None) -> None:
    """Export to `target`, and say what was written there."""
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


def _form(name: str, compress: str, *, spreadsheet: bool) -> Form:
    form = formats.form(
        _check(name, formats.FORMATS, "--format"),
        _check(compress, COMPRESSIONS, "--compress"),
        spreadsheet=spreadsheet,
    )
    if spreadsheet and not form.format.for_spreadsheets:
        able = [one for one in formats.FORMATS.values() if one.for_spreadsheets]
        raise typer.BadParameter(
            f"only {able[0].title} is read by spreadsheets: add --format {able[0].name}.",
            param_hint="--spreadsheet",
        )
    return form


def _check_increment(context: typer.Context, target: str, state: Path) -> None:
    since, until = context.params["since"], context.params["until"]
    if until is not None:
        raise typer.BadParameter(
            "an increment goes up to now: rows left out by --until would never come.",
            param_hint="--since-last",
        )
    if since is not None and is_relative(since):
        raise typer.BadParameter(
            f"with --since-last, give a fixed time instead of {since}.", param_hint="--since"
        )
    if target != "-" and files.real(state).is_relative_to(files.real(Path(target))):
        raise typer.BadParameter(
            f"{state} lies in {target}, which holds the export alone.", param_hint="--since-last"
        )


FREE_TO_CHANGE = frozenset({"--by", "--primary", "--url"})
"""The options that say where an export is run and by whom: they may differ when it is resumed."""


def asked_of(context: typer.Context) -> dict[str, Any]:
    """Return the values of all other options of a command, but for those that are off or empty.

    They are taken from the command itself, so that none that is added to it can be forgotten, with
    defaults, which may be others in a later version.
    """
    asked = {}
    for parameter in context.command.params:
        name = max(parameter.opts, key=len)
        if parameter.param_type_name != "option" or name in FREE_TO_CHANGE:
            continue
        # Options such as --help give the command nothing.
        value = _plain(context.params.get(str(parameter.name)))
        if value is not None and value is not False:
            asked[name] = value
    return asked


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, list | tuple):
        return sorted(value) or None
    return value
