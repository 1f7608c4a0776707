"""What the commands share: how they say things to people, and how they end."""

from __future__ import annotations

import os
import sys
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from auditdb.errors import AuditError, InvalidCursor, InvalidUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

# Joiners are part of how some languages and emoji are written; all else invisible is shown.
_JOINERS = "\u200c\u200d"
_HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}


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
    typer.echo(visible(words), err=True)


def visible(text: str, limit: int | None = None) -> str:
    r"""Return `text` on one line, with control and direction characters shown, as \x1b or \u202e.

    What is longer than `limit` characters ends in an ellipsis.
    """
    is_long = limit is not None and len(text) > limit
    kept = text[: limit - 1] if is_long and limit is not None else text
    return "".join(map(_visible, kept)) + ("…" if is_long else "")


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
