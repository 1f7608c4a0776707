"""What an export is asked for, and who is told how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from auditdb._export.formats.base import Form
    from auditdb._query.filters import Filter


class Progress(Protocol):
    """Is told how far an export is."""

    def begin(self, rows: int, done: int) -> None:
        """There are so many rows, of which so many were there before."""
        ...

    def advance(self, rows: int) -> None:
        """So many more rows were written."""
        ...


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and how."""

    form: Form
    wanted: Filter
    asked: dict[str, Any]
    """The same as the person said it: what a broken-off export must be asked for to go on."""
    per_partition: bool = False
    since_last: Path | None = None
    """The state file of an incremental export."""
    primary: str | None = None
    """The URL of the primary, where the export reads from a standby."""
    by: tuple[str, str] | None = None
    """Type and id of the actor that the log says made the export."""


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what two exports were asked for differently, in order; what is missing is null."""
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
