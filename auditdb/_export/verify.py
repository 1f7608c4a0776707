"""Verifies an export without a database: hashes, counts, order, and that nothing is missing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from auditdb._export import files, manifest, reader
from auditdb._export.formats.base import LONGEST
from auditdb._export.row_check import RowCheck
from auditdb._query import page_cursor
from auditdb.errors import InvalidExport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.formats.base import ExportedRow
    from auditdb._export.manifest import DataFile, Manifest
    from auditdb._export.row_key import RowKey


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying an export found."""

    manifest: Manifest
    mismatches: tuple[str, ...]
    """What is not as the manifest says, in words; empty where all is."""


MOST_MISMATCHES = 100
"""After so many nothing more is looked for."""


def directory(place: Path, *, longest: int = LONGEST) -> Verified:
    """Hold the files in `place` against the manifest there; no row may be `longest` bytes or more.

    Raises InvalidExport where there is no manifest to hold them against, and ExportFailed where a
    library to read them is not installed.
    """
    if not place.is_dir():
        raise InvalidExport(f"{place} is no directory.")
    found = manifest.read(place)
    found = replace(found, form=replace(found.form, longest=longest))
    mismatches = tuple(islice(_mismatches(place, found), MOST_MISMATCHES + 1))
    if len(mismatches) > MOST_MISMATCHES:
        mismatches = (*mismatches[:-1], f"more than {MOST_MISMATCHES} mismatches: not looked on")
    return Verified(found, mismatches)


def _mismatches(place: Path, found: Manifest) -> Iterator[str]:
    known = {one.name for one in found.files} | {manifest.NAME}
    for stranger in sorted(p.name for p in place.iterdir() if p.name not in known):
        yield f"{stranger}: not in the manifest"
    if sum(one.rows for one in found.files) != found.rows:
        yield f"{manifest.NAME}: its files have not {found.rows} rows together"
    if manifest.digest(found.files) != found.sha256:
        yield f"{manifest.NAME}: its sha256 is not that of its files"
    previous: RowKey | None = None
    for one in found.files:
        path = place / one.name
        if not path.is_file():
            yield f"{one.name}: missing"
            continue
        yield from _outside(path, one)
        inside = _Inside(found, one, previous)
        yield from inside.mismatches(path)
        previous = inside.last or previous


def _outside(path: Path, one: DataFile) -> Iterator[str]:
    size = path.stat().st_size
    if size != one.bytes:
        yield f"{one.name}: {size} bytes instead of {one.bytes}"
    with path.open("rb") as found:
        digest = hashlib.sha256()
        while block := found.read(files.CHUNK):
            digest.update(block)
    if digest.hexdigest() != one.sha256:
        yield f"{one.name}: its sha256 is {digest.hexdigest()} instead of {one.sha256}"


class _Inside:
    """Reads the rows of one file."""

    def __init__(self, found: Manifest, one: DataFile, previous: RowKey | None) -> None:
        self._found = found
        self._one = one
        self.last = previous
        self._check = RowCheck(found.form.version, found.layouts)
        filters = found.filters
        self._since, self._until = (
            at and page_cursor.from_iso(at) for at in (filters.get("since"), filters.get("until"))
        )
        account = filters.get("account_id")
        self._accounts: set[bytes] | None = None
        if account is not None:
            self._accounts = {name.encode() for name in found.form.accounts(account)}

    def mismatches(self, path: Path) -> Iterator[str]:
        """Yield what is not as the manifest says."""
        name, before = self._one.name, self.last
        rows, first = 0, None
        told: set[str] = set()
        try:
            for row in reader.rows(path, self._found.form):
                rows += 1
                first = first or row.key
                for wrong in self._wrong(row):
                    if wrong not in told:
                        yield f"{name}: row {rows}: {wrong}"
                    told.add(wrong)
                self.last = row.key
        except reader.Malformed as error:
            yield f"{name}: {error}"
            return
        if rows != self._one.rows:
            yield f"{name}: {rows} rows instead of {self._one.rows}"
        last = self.last if self.last != before else None
        for what, is_so, said in (
            ("first", first, self._one.first),
            ("last", last, self._one.last),
        ):
            if is_so != said:
                yield f"{name}: its {what} row is not the one in the manifest"

    def _wrong(self, row: ExportedRow) -> Iterator[str]:
        if self.last is not None and row.key <= self.last:
            yield "not in order"
        moment = row.key.moment
        if (self._since is not None and moment < self._since) or (
            self._until is not None and moment >= self._until
        ):
            yield "outside the time range of the manifest"
        if self._accounts is not None and row.key.account not in self._accounts:
            yield "of another account than the manifest's"
        if self._found.form.format.can_import:
            try:
                problem = self._check.problem(row)
            except ValueError as error:
                problem = f"a document in it cannot be read: {error}"
            if problem:
                yield problem
