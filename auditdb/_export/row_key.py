"""The place of a row in an export: what tells it from all others, in the order of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auditdb._query import page_cursor

_EARLIEST = page_cursor.from_iso("4713-01-01T00:00:00.000000Z BC")
_LATEST = page_cursor.from_iso("294240-01-01T00:00:00.000000Z")
_LONGEST = len(str(-(2**63)))


@dataclass(frozen=True, slots=True, order=True)
class RowKey:
    """What tells a row of the log from all others; keys compare as the rows are sorted."""

    moment: int
    """When, in microseconds since 1970."""
    id: int
    tx: int
    account: bytes
    """The account_id as UTF-8, which the log compares by."""

    def as_json(self) -> dict[str, str]:
        """Return the key as the columns of an export say it."""
        return {
            "occurred_at": page_cursor.to_iso(self.moment),
            "id": str(self.id),
            "tx": str(self.tx),
            "account_id": self.account.decode(),
        }


def key_of(occurred_at: str, row_id: str, tx: str, account: str) -> RowKey:
    """Return the key of a row of an export; raises ValueError where it has none."""
    moment = page_cursor.from_iso(occurred_at)
    check_moment(moment)
    return RowKey(moment, number(row_id), number(tx), account.encode())


def check_moment(moment: int) -> None:
    """Raise ValueError for a time, in microseconds since 1970, that no row of a log has.

    Those that remain lie in an interval of partitions that begins and ends at a time of PostgreSQL.
    """
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError(f"a row has {moment} microseconds since 1970 as its time")


def number(text: str) -> int:
    """Return the bigint that `text` says, in the one form that exports have; raises ValueError."""
    # Python reads other forms too, and digits of all scripts.
    try:
        found = int(text) if len(text) <= _LONGEST else None
    except ValueError:
        found = None
    if found is None or str(found) != text or not -(2**63) <= found < 2**63:
        raise ValueError(f"{text[:40]!r} is no number of a row")
    return found


def from_json(found: Any) -> RowKey | None:
    """Return the key that as_json() wrote, None for null; raises ValueError for anything else."""
    if found is None:
        return None
    try:
        return key_of(found["occurred_at"], found["id"], found["tx"], found["account_id"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is no key of a row") from error
