"""The place of a row in an export: time, id and account, in the order of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auditdb._query import page_cursor


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
            "occurred_at": page_cursor.to_iso(self.moment),
            "id": str(self.id),
            "account_id": self.account.decode(),
        }


def key_of(occurred_at: str, row_id: str, account: str) -> RowKey:
    """Return the key of a row of an export; raises ValueError where it has none."""
    return RowKey(page_cursor.from_iso(occurred_at), int(row_id), account.encode())


def from_json(found: Any) -> RowKey | None:
    """Return the key that as_json() wrote, None for null; raises ValueError for anything else."""
    if found is None:
        return None
    try:
        return key_of(found["occurred_at"], found["id"], found["account_id"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is no key of a row") from error
