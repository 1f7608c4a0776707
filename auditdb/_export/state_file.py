"""The state file of incremental exports: up to where the log was exported, and what of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditdb._export import files, watermark
from auditdb._export.export_request import differences
from auditdb._export.formats import documents
from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from pathlib import Path

    from auditdb._export.watermark import Watermark

VERSION = 1


@dataclass(frozen=True, slots=True)
class StateFile:
    """Up to where the rows that the filters want were exported."""

    upto: Watermark
    filters: dict[str, Any]
    job: str
    """The export that moved it there."""


def read(path: Path, filters: dict[str, Any]) -> Watermark | None:
    """Return up to where `path` says that rows were exported; None where there is no such file.

    Raises ExportFailed where it cannot be read, and where it is about other filters: rows before it
    that they left out would never be exported.
    """
    found = _load(path)
    if found is None:
        return None
    # A filter that came with a later version is missing from a file that wanted all of it.
    if differing := differences(found.filters, filters):
        raise ExportFailed(
            f"{path} is of an export that differs in {', '.join(differing)}.",
            hint="Give each incremental export a state file of its own.",
        )
    return found.upto


def replace(path: Path, before: Watermark | None, new: StateFile) -> None:
    """Write `new` to `path`, which must still be as it was when the export began.

    Raises ExportFailed where another export has moved it on: this one has the same rows again.
    """
    content = {
        "format": VERSION,
        "filters": new.filters,
        "upto": new.upto.as_json(),
        "job": new.job,
    }
    # Of a link the file that it leads to is replaced: the next export reads that one.
    place = files.real(path)
    with files.locked(place.parent, wait=True):
        found = _load(place)
        if found is not None and found.job == new.job:
            return
        if (found and found.upto) != before:
            raise ExportFailed(
                f"{path} was moved on by another export while this one was under way.",
                hint="What this one wrote repeats rows of the other: remove it.",
            )
        files.write_json(place, content)


def _load(path: Path) -> StateFile | None:
    try:
        found = documents.load(path)
        if found["format"] != VERSION:
            raise ExportFailed(f"{path} is of another version of auditdb.")
        return StateFile(watermark.from_json(found["upto"]), found["filters"], found["job"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ExportFailed(f"{path} is no state file of auditdb.") from error
