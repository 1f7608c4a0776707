"""An export under way: what it set out to do and how far it is, kept so that it can go on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditdb._export import actions, files, layouts, manifest, row_key, slices, watermark
from auditdb._export import witness as witnesses
from auditdb._export.export_request import differences
from auditdb._export.formats import documents
from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from pathlib import Path

    from auditdb._export.actions import ActionName
    from auditdb._export.layouts import Layout
    from auditdb._export.manifest import DataFile
    from auditdb._export.row_key import RowKey
    from auditdb._export.slices import PlannedFile
    from auditdb._export.watermark import Watermark
    from auditdb._export.witness import Witness

NAME = "export.json"
JOURNAL = "export.journal"


@dataclass(frozen=True, slots=True)
class Job:
    """What an export set out to do."""

    id: str
    """Tells it from all other exports."""
    version: int
    """The format version of what it writes."""
    asked: dict[str, Any]
    """What it was asked for, as given."""
    filters: dict[str, Any]
    """What that meant at the time."""
    after: Watermark | None
    upto: Watermark
    files: tuple[PlannedFile, ...]
    layouts: tuple[Layout, ...]
    """The layouts that its rows name."""
    actions: tuple[ActionName, ...]
    """The names of their actions."""
    created_at: str
    server_version: str

    def as_json(self) -> dict[str, Any]:
        """Return what load() reads."""
        return {
            "id": self.id,
            "format": self.version,
            "asked": self.asked,
            "filters": self.filters,
            "after": self.after and self.after.as_json(),
            "upto": self.upto.as_json(),
            "files": [one.as_json() for one in self.files],
            "layouts": [one.as_json() for one in self.layouts],
            "actions": [one.as_json() for one in self.actions],
            "created_at": self.created_at,
            "server_version": self.server_version,
        }


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a file is: so many slices, bytes with that hash, from the first to the last row."""

    slices: int = 0
    bytes: int = 0
    sha256: str = ""
    first: RowKey | None = None
    last: RowKey | None = None


class Journal:
    """The lines in which an export notes what is safely on the disk."""

    def __init__(self, directory: Path) -> None:
        """Read what the journal in `directory` says; a line that was cut off does not count."""
        self._path = directory / JOURNAL
        self.reached: dict[str, Reached] = {}
        self.done: dict[str, DataFile] = {}
        self.recorded: int | None = None
        """The id of the row that the export left in the log."""
        self.witness: Witness | None = None
        """That row as a whole, where the next export has to know it."""
        whole = 0
        if self._path.exists():
            for line in self._path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self._take(json.loads(line))
                whole += len(line)
            os.truncate(self._path, whole)

    def _take(self, note: dict[str, Any]) -> None:
        if "done" in note:
            done = manifest.file_from_json(note["done"])
            self.done[done.name] = done
        elif "recorded" in note:
            self.recorded = note["recorded"]
            self.witness = note["witness"] and witnesses.from_json(note["witness"])
        else:
            self.reached[note["file"]] = Reached(
                note["slices"],
                note["bytes"],
                note["sha256"],
                row_key.from_json(note["first"]),
                row_key.from_json(note["last"]),
            )

    def note(self, note: dict[str, Any]) -> None:
        """Add a line, and have it on the disk."""
        with files.opened_private(self._path, os.O_WRONLY | os.O_APPEND, "ab") as journal:
            journal.write((json.dumps(note, ensure_ascii=False) + "\n").encode())
            files.sync(journal)

    def note_slice(self, name: str, at: Reached) -> None:
        """Note how far the file `name` is."""
        self.note(
            {
                "file": name,
                "slices": at.slices,
                "bytes": at.bytes,
                "sha256": at.sha256,
                "first": at.first and at.first.as_json(),
                "last": at.last and at.last.as_json(),
            }
        )

    def note_recorded(self, row_id: int, witness: Witness | None) -> None:
        """Note that the export has left a row in the log."""
        self.note({"recorded": row_id, "witness": witness and witness.as_json()})
        self.recorded, self.witness = row_id, witness

    def note_done(self, done: DataFile) -> None:
        """Note that the part of a file is whole; it is then given its name."""
        self.note({"done": done.as_json()})
        self.done[done.name] = done


def load(directory: Path, asked: dict[str, Any], version: int) -> Job | None:
    """Return the job in `directory`; None where it is empty.

    Raises ExportFailed where the directory holds anything but a job that was asked for the same.
    """
    path = directory / NAME
    if not path.exists():
        strangers = sorted(p.name for p in directory.iterdir() if p.name != NAME + files.PART)
        if strangers:
            what = (
                "holds an export that is complete"
                if manifest.NAME in strangers
                else f"is not empty: there is {strangers[0]}"
            )
            raise ExportFailed(f"{directory} {what}.", hint="Export into a new directory.")
        return None
    try:
        found = documents.load(path)
        job = Job(
            found["id"],
            found["format"],
            found["asked"],
            found["filters"],
            found["after"] and watermark.from_json(found["after"]),
            watermark.from_json(found["upto"]),
            tuple(slices.from_json(one) for one in found["files"]),
            layouts.all_from_json(found["layouts"]),
            actions.all_from_json(found["actions"]),
            found["created_at"],
            found["server_version"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ExportFailed(
            f"{path} cannot be read: {error}.", hint="Export into a new directory."
        ) from error
    if job.version != version:
        raise ExportFailed(
            f"{directory} holds an export of another version of auditdb, which is not complete.",
            hint="Export into a new directory.",
        )
    if differing := differences(job.asked, asked):
        raise ExportFailed(
            f"{directory} holds another export, which is not complete; "
            f"it differs in {', '.join(differing)}.",
            hint="Go on with that one by giving its options, or export into a new directory.",
        )
    return job


def save(directory: Path, job: Job) -> None:
    """Write `job` into `directory`; from then on the export can go on."""
    files.write_json(directory / NAME, job.as_json())


def forget(directory: Path) -> None:
    """Take away what is of no use once the export is complete."""
    (directory / JOURNAL).unlink(missing_ok=True)
    (directory / NAME).unlink(missing_ok=True)
    files.sync_directory(directory)
