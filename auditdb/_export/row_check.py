"""Checks what a row says before a database is asked: types, documents, the text of its record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditdb._export.formats.base import ExportedRow
    from auditdb._export.layouts import Layout
    from auditdb._export.versions import FormatVersion

_CHANGE = {"old", "new", "redacted"}
_INTEGER = re.compile(r"[1-9]\d{0,8}", re.ASCII)


class RowCheck:
    """What every row of an export must be."""

    def __init__(self, version: FormatVersion, layouts: Sequence[Layout]) -> None:
        """Check rows of `version`, whose `layouts` are those of the manifest."""
        self._columns = [
            (name, kind, name in version.required) for name, kind in version.columns.items()
        ]
        self._layouts = {str(one.id): one for one in layouts}

    def problem(self, row: ExportedRow) -> str | None:
        """Return what is wrong with a row, in words; None where nothing is.

        Raises ValueError where a cell cannot be read.
        """
        cells = row.cells
        for name, kind, is_required in self._columns:
            cell = cells[name]
            if cell is None:
                if is_required:
                    return f"it has no {name}"
            elif not _IS[kind](cell):
                return f"its {name} is no {_NAMES[kind]}"
        problem = self._problem_of_record(cells)
        return problem or (_problem_of_text(cells) if row.has_escapes else None)

    def _problem_of_record(self, cells: Mapping[str, Any]) -> str | None:
        number, record, changes = cells["layout"], cells["row_values"], cells["changes"]
        layout = None
        if number is not None:
            layout = self._layouts.get(number)
            if layout is None:
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
    plain = "".join(_texts(dict(cells)))
    if "\0" in plain:
        return "it has a text with U+0000"
    try:
        plain.encode()
    except UnicodeEncodeError:
        return "it has a text with half of a character"
    return None


def _texts(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    if isinstance(found, dict):
        return [*found, *(text for value in found.values() for text in _texts(value))]
    if isinstance(found, list):
        return [text for value in found for text in _texts(value)]
    return []


def _is_text(cell: Any) -> bool:
    return type(cell) is str


def _is_integer(cell: Any) -> bool:
    return type(cell) is str and bool(_INTEGER.fullmatch(cell))


def _is_boolean(cell: Any) -> bool:
    return type(cell) is bool


def _is_object(cell: Any) -> bool:
    return type(cell) is dict


_IS = {
    "text": _is_text,
    # As they are part of its key, the reader of the row has read them.
    "bigint": _is_text,
    "integer": _is_integer,
    "boolean": _is_boolean,
    "timestamptz": _is_text,
    "jsonb": _is_object,
}
_NAMES = {
    "text": "text",
    "bigint": "number",
    "integer": "number",
    "boolean": "boolean",
    "timestamptz": "time",
    "jsonb": "object",
}
