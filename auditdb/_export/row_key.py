"""The place of a row in an export: time, id and account, in the order of its rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# After 400 years the calendar repeats itself, to the day.
_CYCLE = 146_097 * 24 * 60 * 60 * 1_000_000
_MOMENT = re.compile(r"(\d{4,6})(-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z( BC)?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class RowKey:
    """What tells a row of the log from all others; keys compare as the rows are sorted."""

    moment: int
    """When, in microseconds since 1970."""
    id: int
    account: bytes
    """The account_id as UTF-8, which the log compares by."""

    def as_json(self) -> dict[str, str]:
        """Return the key as the columns of an export say it."""
        return {
            "occurred_at": to_text(self.moment),
            "id": str(self.id),
            "account_id": self.account.decode(),
        }


def key_of(occurred_at: str, row_id: str, account: str) -> RowKey:
    """Return the key of a row of an export; raises ValueError where it has none."""
    return RowKey(to_moment(occurred_at), int(row_id), account.encode())


def from_json(found: Any) -> RowKey | None:
    """Return the key that as_json() wrote, None for null; raises ValueError for anything else."""
    if found is None:
        return None
    try:
        return key_of(found["occurred_at"], found["id"], found["account_id"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is no key of a row") from error


def to_moment(text: str) -> int:
    """Return a time as exports write it in microseconds since 1970; raises ValueError.

    >>> to_moment("1970-01-01T00:00:01.000000Z")
    1000000
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time as exports write it")
    year = 1 - int(found[1]) if found[3] else int(found[1])
    cycles, within = divmod(year, 400)
    # The year 0 of a cycle is a leap year, as 2000 was.
    moment = datetime.fromisoformat(f"{within + 2000}{found[2]}+00:00")
    return (moment - EPOCH) // _MICROSECOND + (cycles - 5) * _CYCLE


def to_text(moment: int) -> str:
    """Return a time in microseconds since 1970 as exports write it, of any year.

    >>> to_text(1000000)
    '1970-01-01T00:00:01.000000Z'
    """
    cycles, rest = divmod(moment, _CYCLE)
    within = EPOCH + timedelta(microseconds=rest)
    year = within.year + 400 * cycles
    era = "" if year > 0 else " BC"
    return f"{year if year > 0 else 1 - year:04}-{within:%m-%dT%H:%M:%S.%f}Z{era}"
