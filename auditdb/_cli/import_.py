"""The command `auditdb import`: brings an export back, into the log of another database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auditdb._cli.arguments import LongestRow, Url
from auditdb._cli.progress import progress
from auditdb._cli.saying import outcome, say
from auditdb._export import importing
from auditdb._export.formats.base import LONGEST
from auditdb._upkeep import database


def import_export(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The directory of an export.")
    ] = None,
    undo: Annotated[
        int | None,
        typer.Option("--undo", metavar="NUMBER", min=1, help="Undo the import of this number."),
    ] = None,
    longest_row: LongestRow = LONGEST >> 20,
    url: Url = None,
) -> None:
    """Import an export as JSON Lines or Parquet into the log of another database, or undo that."""
    if (directory is None) == (undo is None):
        raise typer.BadParameter("give the directory of an export, or --undo.", param_hint="DIR")
    with outcome():
        where = database.resolve(url)
        if undo is not None:
            say(f"Import {undo} is undone: {importing.undo(where, undo)} rows were taken out.")
        if directory is not None:
            _import(directory, where, longest_row)


def _import(directory: Path, where: str, longest_row: int) -> None:
    try:
        with progress() as bar:
            done = importing.run(where, directory, bar, longest=longest_row << 20)
    except KeyboardInterrupt:
        say("Interrupted. Run the same import again, or undo it: `auditdb check` names its number.")
        raise
    about = "" if done.era is None else f" To undo it: auditdb import --undo {done.era}"
    say(f"{done.rows} rows, of which {done.new} were new.{about}")
