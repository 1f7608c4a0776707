"""Where a row stands: time, id and transaction; as an opaque cursor, and as a key."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from auditdb.errors import InvalidCursor, InvalidQuestion

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# After 400 years the calendar repeats itself, to the day.
_CYCLE = 146_097 * 24 * 60 * 60 * 1_000_000
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
"""The first moment of Python's years, in microseconds since 1970."""
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
"""The last moment of Python's years, in microseconds since 1970."""
# The times that PostgreSQL can hold, 4714 BC to 294276, and the ids.
_TIMES = range(-210_866_803_200_000_000, 9_224_318_016_000_000_000)
_IDS = range(-(2**63), 2**63)
_ISO = re.compile(
    r"(\d{4,6})(-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6})Z( BC)?", re.ASCII
)
_POSITION = re.compile(r"(-?\d{1,19})-(-?\d{1,19})-(-?\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of the log: the identity of a row, which no other has."""

    moment: int
    """Microseconds since 1970 UTC."""
    id: int
    tx: int

    @property
    def key(self) -> str:
        """The identity as audit.events.key writes it."""
        return f"{self.moment}-{self.id}-{self.tx}"


def write_cursor(position: Position) -> str:
    """Return the cursor that pages on after `position`: opaque, safe in URLs and file names."""
    return urlsafe_b64encode(position.key.encode()).decode().rstrip("=")


def read_key(key: str) -> Position:
    """Return the position that `key` means; raises InvalidQuestion unless it was written so."""
    found = _POSITION.fullmatch(str(key))
    position = found and Position(int(found[1]), int(found[2]), int(found[3]))
    if not position or not _can_be(position) or position.key != key:
        raise InvalidQuestion(f"{key!r} is no key of an event.", hint="Give the key of an Event.")
    return position


def read_cursor(cursor: str) -> Position:
    """Return the position that `cursor` means; raises InvalidCursor unless it was written so."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = read_key(urlsafe_b64decode(padded).decode("ascii"))
    except (ValueError, binascii.Error, AttributeError, InvalidQuestion) as error:
        raise InvalidCursor from error
    # Base64 reads more than it writes: what stands outside of its alphabet is passed over.
    if write_cursor(position) != cursor:
        raise InvalidCursor
    return position


def _can_be(position: Position) -> bool:
    return is_time(position.moment) and position.id in _IDS and position.tx in _IDS


def is_time(moment: int) -> bool:
    """Return whether PostgreSQL holds the time `moment` microseconds after 1970."""
    return moment in _TIMES


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 UTC to `moment`, which has a time zone."""
    return (moment - EPOCH) // _MICROSECOND


def to_datetime(moment: int) -> datetime:
    """Return the time `moment` microseconds after 1970 in UTC, at the ends of Python's years."""
    return EPOCH + timedelta(microseconds=min(max(moment, FIRST), LAST))


def to_date(days: int) -> date:
    """Return the date `days` after 1970-01-01, at the ends of Python's years."""
    first = date(1970, 1, 1).toordinal()
    return date.fromordinal(min(max(first + days, 1), date.max.toordinal()))


def to_text(moment: int) -> str:
    """Return the time `moment` microseconds after 1970 as PostgreSQL reads it, of any year.

    >>> to_text(0)
    '1970-01-01 00:00:00.000000+00'
    >>> to_text(-62_135_596_800_000_001)
    '0001-12-31 23:59:59.999999+00 BC'
    """
    cycles, rest = divmod(moment, _CYCLE)
    within = EPOCH + timedelta(microseconds=rest)
    year = within.year + 400 * cycles
    era = "" if year > 0 else " BC"
    return f"{year if year > 0 else 1 - year:04}-{within:%m-%d %H:%M:%S.%f}+00{era}"


def to_iso(moment: int) -> str:
    """Return the time `moment` microseconds after 1970 as ISO 8601 in UTC, of any year.

    >>> to_iso(1_000_000)
    '1970-01-01T00:00:01.000000Z'
    >>> to_iso(-62_135_596_800_000_001)
    '0001-12-31T23:59:59.999999Z BC'
    """
    return to_text(moment).replace(" ", "T", 1).replace("+00", "Z")


def in_json(moment: int) -> str:
    """Return the time `moment` microseconds after 1970 as PostgreSQL has it in JSON, of any year.

    >>> in_json(1_000_000)
    '1970-01-01T00:00:01.000000+00:00'
    >>> in_json(-62_135_596_800_000_001)
    '0001-12-31T23:59:59.999999+00:00 BC'
    """
    return to_text(moment).replace(" ", "T", 1).replace("+00", "+00:00")


def from_iso(text: str) -> int:
    """Return the time that to_iso() wrote, in microseconds since 1970; raises ValueError.

    >>> from_iso("1970-01-01T00:00:01.000000Z")
    1000000
    """
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a time such as 2026-01-31T12:00:00.000000Z")
    year = 1 - int(found[1]) if found[3] else int(found[1])
    if not found[3] and len(found[1]) == 4 and year:
        since = datetime.fromisoformat(text) - EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    cycles, within = divmod(year, 400)
    # The year 0 of a cycle is a leap year, as 2000 was.
    moment = datetime.fromisoformat(f"{within + 2000}{found[2]}+00:00")
    micros = microseconds(moment) + (cycles - 5) * _CYCLE
    # Years of more digits could be written in several forms, or be beyond PostgreSQL's.
    if not is_time(micros) or to_iso(micros) != text:
        raise ValueError(f"{text!r} is no time of PostgreSQL")
    return micros
