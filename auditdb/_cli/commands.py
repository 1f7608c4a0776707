"""The list of all commands, and the group that imports a command when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, cast

import typer
import typer.core
import typer.main

EXIT_CODES = (
    "Exit codes: 0 done; 1 the database, or the state it is in (behind, unreachable, refused); "
    "2 wrong usage; 130 interrupted; 141 the reader of the output went away."
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A command as the list of all commands shows it, known without importing it."""

    place: str
    """Where its function is, as module:function; the module is one of this package."""
    summary: str
    """The first sentence of its help: the first line of the function's docstring."""


COMMANDS: Mapping[str, Listed] = {
    "upgrade": Listed("upgrade:upgrade", "Bring the database up to date, in one transaction."),
    "downgrade": Listed(
        "downgrade:downgrade",
        "Take the database back to a revision, in one transaction; rows of the log are never lost.",
    ),
    "current": Listed(
        "current:current",
        "Print the revision of each branch; exit with 1 if the database is behind.",
    ),
    "check": Listed(
        "check:check",
        "Look for what is wrong with the log, say what fixes it, and exit with 1 on errors.",
    ),
    "maintain": Listed(
        "maintain:maintain",
        "Keep partitions of the log ahead of time, and put those whose time is over to rest.",
    ),
    "baseline": Listed(
        "baseline:tell_rows",
        "Tell the log the rows of a table that it does not know, or go on where that broke off.",
    ),
    "log": Listed("log:show_log", "Print what was done, by whom and to what, newest first."),
    "undo": Listed(
        "undo:undo_changes",
        "Show what it takes to undo a transaction, an event or what was done to an item, or do it.",
    ),
    "export": Listed(
        "export:export_log",
        "Export the log into files that can be verified, or go on with an export that broke off.",
    ),
    "verify": Listed(
        "verify:verify_export",
        "Verify an export without a database; exit with 1 and say what differs, if anything does.",
    ),
    "import": Listed(
        "import_:import_export",
        "Import an export as JSON Lines or Parquet into the log of another database, or undo that.",
    ),
    "demo": Listed(
        "demo:demo",
        "Run a licensing platform on a PostgreSQL of its own and show the log of it.",
    ),
}
"""The commands by name, in the order of the help: here and nowhere else."""


class Commands(typer.core.TyperGroup):
    """The group of all commands: none is imported before it runs or shows its own help."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("Any", _Importing())

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (as typer calls it)
        """Return the names of the commands in the order of the list."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (the same)
        """Write the list of the commands into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.summary) for name, listed in COMMANDS.items()])


class _Importing(Mapping[str, typer.core.TyperCommand]):
    """The commands by name; asking for one imports its module."""

    def __getitem__(self, name: str) -> typer.core.TyperCommand:
        function = resolve_name(f"{__package__}.{COMMANDS[name].place}")
        alone = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
        )
        alone.command(name, epilog=EXIT_CODES)(function)
        return cast("typer.core.TyperCommand", typer.main.get_command(alone))

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)
