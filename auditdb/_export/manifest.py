"""manifest.json: what an export holds, written last, so that whoever has it has all of it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from auditdb._export import actions, formats, layouts, row_key, watermark
from auditdb._export.formats import documents
from auditdb._export.versions import VERSIONS
from auditdb._query import page_cursor
from auditdb.errors import InvalidExport, WatermarkRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditdb._export.actions import ActionName
    from auditdb._export.export_job import Job
    from auditdb._export.formats.base import Form
    from auditdb._export.layouts import Layout
    from auditdb._export.row_key import RowKey

NAME = "manifest.json"
_FILE_NAME = re.compile(r"[\w-]{1,200}(\.[\w-]{1,20}){1,3}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of an export, as its manifest describes it."""

    name: str
    rows: int
    bytes: int
    sha256: str
    first: RowKey | None
    last: RowKey | None

    def as_json(self) -> dict[str, Any]:
        """Return what file_from_json() reads."""
        return {
            "name": self.name,
            "rows": self.rows,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "first": self.first and self.first.as_json(),
            "last": self.last and self.last.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says of the data beside it."""

    form: Form
    layouts: tuple[Layout, ...]
    """The layouts that its rows name."""
    actions: tuple[ActionName, ...]
    """The names of their actions."""
    log: str
    """The identity of the log that was exported."""
    filters: dict[str, Any]
    files: tuple[DataFile, ...]
    rows: int
    sha256: str
    """The hash of all the files, see digest()."""


def digest(files: Sequence[DataFile]) -> str:
    """Return the SHA-256 over the hash and name of each file, as sha256sum prints them."""
    lines = "".join(f"{one.sha256}  {one.name}\n" for one in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def content(
    form: Form, files: Sequence[DataFile], job: Job, about: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest to write; `about` holds what differs from run to run."""
    return {
        "format": form.version.number,
        "data": form.format.name,
        "compression": form.compression.name,
        "spreadsheet": form.spreadsheet,
        "columns": _columns(form),
        "order": list(form.version.order),
        "layouts": [one.as_json() for one in job.layouts],
        "actions": [one.as_json() for one in job.actions],
        "filters": job.filters,
        "rows": sum(one.rows for one in files),
        "sha256": digest(files),
        "files": [one.as_json() for one in files],
        **about,
    }


def read(directory: Path) -> Manifest:
    """Return the manifest in `directory`.

    Raises InvalidExport where there is none, and where it is not one that export writes: the data
    are then not looked at.
    """
    path = directory / NAME
    try:
        found = documents.load(path)
    except FileNotFoundError:
        raise InvalidExport(
            f"{path} is missing: the export is not complete, or this is none.",
            hint="Run the same `auditdb export` again: it goes on where it stopped.",
        ) from None
    except OSError as error:
        raise InvalidExport(f"{path}: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidExport(f"{path} is no JSON: {error}.") from error
    try:
        return _checked(found)
    except (KeyError, TypeError, ValueError, AttributeError, WatermarkRefused) as error:
        raise InvalidExport(f"{path} is no manifest of auditdb: {str(error)[:500]}.") from error


def _checked(found: Any) -> Manifest:
    version = VERSIONS.get(found["format"])
    if version is None or type(found["format"]) is not int:
        known = ", ".join(map(str, VERSIONS))
        raise InvalidExport(
            f"The export has format {str(found['format'])[:40]}; this auditdb knows {known}.",
            hint="Read it with the version that wrote it.",
        )
    if type(found["spreadsheet"]) is not bool:
        raise ValueError("its spreadsheet is neither true nor false")
    form = formats.form(
        found["data"], found["compression"], spreadsheet=found["spreadsheet"], version=version
    )
    if found["columns"] != _columns(form) or found["order"] != list(version.order):
        raise ValueError("its columns are not those of its format")
    files = tuple(file_from_json(one) for one in found["files"])
    if len({one.name for one in files}) != len(files):
        raise ValueError("it names a file twice")
    rows = found["rows"]
    if type(rows) is not int:
        raise ValueError("its rows are no number")
    _check_filters(found["filters"])
    return Manifest(
        form,
        layouts.all_from_json(found["layouts"]),
        actions.all_from_json(found["actions"]),
        str(UUID(watermark.from_json(found["watermark"]).log)),
        found["filters"],
        files,
        rows,
        found["sha256"],
    )


def _check_filters(found: Any) -> None:
    """Raise ValueError where filters are none; those of a later version are not known here."""
    if type(found) is not dict:
        raise ValueError("its filters are none")
    texts = [found.get(name) for name in ("account_id", "item", "actor", "on_behalf_of")]
    for name in ("tables", "actions"):
        if (names := found.get(name)) is not None:
            if type(names) is not list:
                raise ValueError(f"its filter {name} is no list")
            texts += names
    if not all(text is None or documents.is_text(text) for text in texts):
        raise ValueError("it has a filter that is no text")
    for name in ("since", "until"):
        if (at := found.get(name)) is not None:
            page_cursor.from_iso(at)


def _columns(form: Form) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in form.columns.items()]


def file_from_json(found: Any) -> DataFile:
    """Return the file that as_json() describes; raises ValueError for anything else."""
    name, rows, size, sha256 = (found[key] for key in ("name", "rows", "bytes", "sha256"))
    # A name that leads out of the directory would have any file read.
    if not _FILE_NAME.fullmatch(name) or not _DIGEST.fullmatch(sha256):
        raise ValueError(f"{name[:100]!r} with {sha256[:100]!r} is no file of an export")
    if not all(type(number) is int and number >= 0 for number in (rows, size)):
        raise ValueError("rows and bytes must be numbers")
    first, last = row_key.from_json(found["first"]), row_key.from_json(found["last"])
    return DataFile(name, rows, size, sha256, first, last)
