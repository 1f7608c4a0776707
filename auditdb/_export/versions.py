"""What exports hold, by format version. A released version is never changed, and always read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEFT_OUT = ("era",)
"""Columns of audit.log that no export has: they count for one server alone."""

ORDER = ("occurred_at", "id", "tx", "account_id")
"""What rows are sorted by: what tells a row from all others. A row that several accounts see is
one for each."""


REQUIRED = frozenset(
    {
        *ORDER,
        "action",
        "item_type",
        "item_id",
        "actor_type",
        "actor_id",
        "db_role",
        "application",
        "is_cascade",
        "is_deleted",
    }
)
"""Columns that are never null, in version 1 and after it."""


@dataclass(frozen=True, slots=True)
class FormatVersion:
    """The columns of an export, in order, and how its rows are sorted."""

    number: int
    """Raised with every change of columns, their order or their form."""
    columns: Mapping[str, str]
    """Name and type of each column, as in audit.log; changes as in audit.events, for all rows."""
    required: frozenset[str] = REQUIRED
    """The columns that are never null."""
    order: tuple[str, ...] = ORDER

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.columns)


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
            "is_deleted": "boolean",
            "layout": "integer",
            "row_values": "text",
            "changes": "jsonb",
            "context": "jsonb",
            "moved": "jsonb",
        },
    ),
]

VERSIONS = {version.number: version for version in _VERSIONS}
"""Every version that this auditdb reads."""

CURRENT = _VERSIONS[-1]
"""The version that it writes: all columns of audit.log but those left out."""
