"""The command line: stdout is data, stderr is talk."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from auditdb._cli.commands import EXIT_CODES, Commands

app = typer.Typer(
    name="auditdb",
    cls=Commands,
    help="An audit log that PostgreSQL keeps by itself.",
    epilog=EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
