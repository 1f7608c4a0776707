"""Checks what a row says before a database is asked: types, documents, the text of its record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from auditdb._export.formats.documents import Number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditdb._export.formats.base import ExportedRow
    from auditdb._export.layouts import Layout
    from auditdb._export.versions import FormatVersion

_CHANGE = {"old", "new", "redacted"}
_LAYOUT = re.compile(r"[1-9]\d{0,8}", re.ASCII)
# How the cells of each type are read. That a time is one, and a bigint, the key of the row tells;
# Parquet has them as numbers.
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "bigint": (str, int),
    "integer": (Number,),
    "boolean": (bool,),
    "timestamptz": (str, int),
    "jsonb": (dict,),
}
_NAMES = {
    "text": "text",
    "bigint": "text of a number",
    "integer": "number",
    "boolean": "boolean",
    "timestamptz": "time",
    "jsonb": "object",
}


class RowCheck:
    """What every row of an export must be."""

    def __init__(self, version: FormatVersion, layouts: Sequence[Layout]) -> None:
        """Check rows of `version`, whose `layouts` are those of the manifest."""
        self._columns = [
            (name, kind, name in version.required) for name, kind in version.columns.items()
        ]
        self._layouts = {str(one.id): one for one in layouts}
        # Most rows have the types of one before them.
        self._known: set[tuple[type, ...]] = set()

    def problem(self, row: ExportedRow) -> str | None:
        """Return what is wrong with a row, in words; None where nothing is.

        Raises ValueError where a cell cannot be read.
        """
        cells = row.cells
        types = tuple(map(type, cells.values()))
        if types not in self._known:
            problem = self._problem_of_types(cells)
            if problem:
                return problem
            self._known.add(types)
        if cells["parent_id"] is not None and cells["parent_type"] is None:
            return "it has a parent_id and no parent_type"
        problem = self._problem_of_record(cells)
        return problem or (_problem_of_text(cells) if row.has_escapes else None)

    def _problem_of_types(self, cells: Mapping[str, Any]) -> str | None:
        for name, kind, is_required in self._columns:
            cell = cells[name]
            if cell is None:
                if is_required:
                    return f"it has no {name}"
            elif type(cell) not in _TYPES[kind]:
                return f"its {name} is no {_NAMES[kind]}"
        return None

    def _problem_of_record(self, cells: Mapping[str, Any]) -> str | None:
        number, record, changes = cells["layout"], cells["row_values"], cells["changes"]
        layout = None
        if number is not None:
            layout = self._layouts.get(number)
            if layout is None:
                if not _LAYOUT.fullmatch(number):
                    return "its layout is no number of one"
                return f"the manifest has no layout {number}"
        if record is not None:
            if layout is None:
                return "it has row_values of no layout"
            if changes is None:
                return "it has row_values and no changes"
            try:
                layout.check(record)
            except ValueError as error:
                return str(error)
        # What a record stands for is compared by the database that imports it.
        elif changes is not None and not all(map(_is_change, changes.values())):
            return "its changes are no changes of columns"
        return None


def _is_change(found: Any) -> bool:
    return (
        type(found) is dict
        and found.keys() <= _CHANGE
        and ("redacted" not in found or found["redacted"] is True)
    )


def _problem_of_text(cells: Mapping[str, Any]) -> str | None:
    """Return what no text of PostgreSQL holds: U+0000, and halves of characters."""
    for text in _texts(dict(cells)):
        if "\0" in text:
            return "it has a text with U+0000"
        try:
            text.encode()
        except UnicodeEncodeError:
            return "it has a text with half of a character"
    return None


def _texts(found: Any) -> Iterator[str]:
    """Yield all texts in a document, however deep it is nested."""
    waiting = [found]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
