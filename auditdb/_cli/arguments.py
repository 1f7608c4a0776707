"""What people type for the database, items, actors and times, and what it means."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The database, as postgresql://user@host/name; by default AUDITDB_URL, then PGHOST, "
        "PGUSER, PGDATABASE and the like.",
    ),
]

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of an export.")]

LongestRow = Annotated[
    int,
    typer.Option(
        "--longest-row", metavar="MIB", min=1, max=4096, help="How long a row may be, in MiB."
    ),
]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_AGO = re.compile(r"(\d+)([smhdw])")


def parse_pair(value: str, option: str) -> tuple[str, str | None]:
    """Return type and id of TYPE:ID, or the type alone; BadParameter for anything else."""
    kind, colon, number = value.partition(":")
    if not kind or (colon and not number):
        raise typer.BadParameter(f"{value!r} is not TYPE:ID.", param_hint=option)
    return kind, number or None


def parse_item(value: str | None) -> tuple[str, str] | None:
    """Return type and id of TYPE:ID, None for None; BadParameter without an id."""
    if value is None:
        return None
    kind, number = parse_pair(value, "--item")
    if number is None:
        raise typer.BadParameter(f"{value!r} has no id; write {value}:42.", param_hint="--item")
    return kind, number


def parse_actor(value: str) -> tuple[str, str]:
    """Return type and id of TYPE:ID for --by; BadParameter without an id."""
    kind, number = parse_pair(value, "--by")
    if number is None:
        raise typer.BadParameter(f"{value!r} has no id; write {value}:42.", param_hint="--by")
    return kind, number


def is_relative(value: str) -> bool:
    """Return whether a time is given as so long ago."""
    return _AGO.fullmatch(value) is not None


def check_range(since: datetime | None, until: datetime | None) -> None:
    """Raise BadParameter where a range ends before it begins."""
    if since is not None and until is not None and since > until:
        raise typer.BadParameter(
            f"{since:%Y-%m-%dT%H:%M:%S%z} is after --until {until:%Y-%m-%dT%H:%M:%S%z}.",
            param_hint="--since",
        )


def parse_time(value: str | None, option: str) -> datetime | None:
    """Return the time that `value` means: ISO 8601, or so long ago as 90s, 15m, 12h, 7d, 2w."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{value!r} is no time; write 2026-01-31, 2026-01-31T12:00Z or 7d.", param_hint=option
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
