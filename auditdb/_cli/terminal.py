"""What the commands share: how they are told the database, say things, and end."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from auditdb._cli import tables
from auditdb.errors import AuditError, InvalidCursor, InvalidUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_CODES = (
    "Exit codes: 0 done; 1 the database, or the state it is in (behind, unreachable, refused); "
    "2 wrong usage; 130 interrupted; 141 the reader of the output went away."
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


class Terminal(Console):
    """A console that leaves it to the command what to do when its reader goes away."""

    def on_broken_pipe(self) -> None:
        """Raise what a plain write would raise."""
        raise BrokenPipeError


@contextmanager
def outcome() -> Iterator[None]:
    """Turn what can happen to a command into a word on stderr and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except AuditError as error:
        say(f"auditdb: {error.message}")
        if error.hint:
            say(error.hint)
        is_usage = isinstance(error, InvalidUrl | InvalidCursor)
        raise typer.Exit(2 if is_usage else 1) from None
    except UnicodeEncodeError:
        say("auditdb: an argument is not UTF-8.")
        raise typer.Exit(2) from None
    except BrokenPipeError:
        # Python would try to flush once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def say(words: str) -> None:
    """Print words for people to stderr, on one line."""
    typer.echo(tables.visible(words), err=True)
