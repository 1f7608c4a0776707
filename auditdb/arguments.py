"""What people type for items, actors and times, and what it means."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


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


def parse_time(value: str | None, option: str) -> datetime | None:
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
