"""What exports hold, by format version. A released version is never changed, and always read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STORED = ("era", "is_deleted", "layout", "row_values")
"""Columns of audit.log that say how a row is kept: what they stand for is in the others."""

ORDER = ("occurred_at", "id", "account_id")
"""What rows are sorted by; account_id tells apart rows that came from several logs."""


@dataclass(frozen=True, slots=True)
class FormatVersion:
    """The columns of an export, in order, and how its rows are sorted."""

    number: int
    """Raised with every change of columns, their order or their form."""
    columns: Mapping[str, str]
    """Name and type of each column, as in audit.log."""
    order: tuple[str, ...] = ORDER

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.columns)

    @property
    def key_places(self) -> tuple[int, int, int]:
        """The places of time, id and account among the columns."""
        moment, number, account = (self.names.index(name) for name in ORDER)
        return moment, number, account


_VERSIONS = [
    FormatVersion(
        1,
        {
            "id": "bigint",
            "tx": "bigint",
            "occurred_at": "timestamptz",
            "account_id": "text",
            "action": "text",
            "item_type": "text",
            "item_id": "text",
            "item_label": "text",
            "parent_type": "text",
            "parent_id": "text",
            "actor_type": "text",
            "actor_id": "text",
            "actor_label": "text",
            "on_behalf_of_type": "text",
            "on_behalf_of_id": "text",
            "on_behalf_of_label": "text",
            "db_role": "text",
            "application": "text",
            "is_cascade": "boolean",
            "changes": "jsonb",
            "context": "jsonb",
        },
    ),
]

VERSIONS = {version.number: version for version in _VERSIONS}
"""Every version that this auditdb reads."""

CURRENT = _VERSIONS[-1]
"""The version that it writes: all columns of audit.log."""
