"""CSV, for other programs; in one form no cell is run by a spreadsheet."""

from __future__ import annotations

import csv
import re
import sys
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING

from psycopg import sql

from auditdb._export import compression, row_key
from auditdb._export.formats import log_rows
from auditdb._export.formats.base import ExportedRow, Format
from auditdb._export.formats.text import TextWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.files import Hashed
    from auditdb._export.formats.base import Form
    from auditdb._export.row_key import RowKey

# What spreadsheets run, also in the full width of East Asian keyboards. After a semicolon, a tab or
# a line break too, quoted or not: a spreadsheet that separates by those begins a cell there.
_SIGNS = r"=+@\uFF1D\uFF0B\uFF0D\uFF20-"
_BREAKS = r"\t\r\n"
_BEGINS = f'((?:^|[;{_BREAKS}])[ "]*)'
_GUARDED = (
    "pg_catalog.regexp_replace(pg_catalog.regexp_replace({0},"
    f" '{_BEGINS}([{_SIGNS}])', '\\1''\\2', 'g'), '^([{_BREAKS}])', '''\\1')"
)


class Csv(Format):
    """RFC 4180 with LF and a header: null is empty, an empty text is quoted."""

    name = "csv"
    title = "CSV"
    can_resume = True
    can_import = False
    for_spreadsheets = True
    leaves_out = frozenset({"row_values"})

    def writer(self, form: Form, to: Hashed) -> TextWriter:
        """Return what writes one file of `form`."""
        return TextWriter(
            to,
            form.compression,
            header=",".join(form.columns) + "\n",
            query=partial(_query, form),
            key=partial(_line_key, form),
        )

    def read(self, path: Path, form: Form) -> Iterator[ExportedRow]:
        """Yield the rows of a file, of which there is the key alone."""
        names = list(form.columns)
        with (
            _any_size(),
            form.compression.opened(path) as found,
        ):
            source = _Lines(form, found)
            lines = csv.reader(source, strict=True)
            if next(lines, None) != names:
                raise ValueError("the header is not that of the format")
            for cells in lines:
                if len(cells) != len(names):
                    raise ValueError(f"there are {len(cells)} cells instead of {len(names)}")
                source.taken = 0
                yield ExportedRow(_key(form, cells))

    def unguarded(self, cell: str) -> str:
        """Return what a cell was before the apostrophes that keep it from being run.

        >>> Csv().unguarded("'=1+2")
        '=1+2'
        """
        cell = re.sub(f"^'([{_BREAKS}])", r"\1", cell)
        return re.sub(f"{_BEGINS}'([{_SIGNS}])", r"\1\2", cell)


class _Lines:
    """The lines of a file, as long as not too many of them are one row."""

    def __init__(self, form: Form, found: IO[bytes]) -> None:
        self._form = form
        self._lines = compression.lines(found, form.longest)
        self.taken = 0
        """The bytes of the row so far."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken += len(line)
        if self.taken > self._form.longest:
            raise self._form.too_long()
        return line.decode()


def _query(form: Form, where: sql.Composable) -> sql.Composed:
    cells = []
    for name, kind in form.columns.items():
        cell = log_rows.text(name) if kind in ("boolean", "jsonb") else f"l.{name}"
        if kind == "timestamptz":
            cell = log_rows.time_text(name)
        elif form.spreadsheet and kind in ("text", "jsonb"):
            cell = _GUARDED.format(cell)
        cells.append(cell)
    inner = log_rows.select(form.version, cells, where)
    return sql.SQL("copy ({}) to stdout with (format csv)").format(inner)


def _line_key(form: Form, line: bytes) -> RowKey:
    with _any_size():
        return _key(form, next(csv.reader([line.decode()], strict=True)))


def _key(form: Form, cells: list[str]) -> RowKey:
    moment, number, tx, account = (cells[place] for place in form.key_places)
    account = form.format.unguarded(account) if form.spreadsheet else account
    return row_key.key_of(moment, number, tx, account)


@contextmanager
def _any_size() -> Iterator[None]:
    """Let Python's CSV reader take cells of any size; by itself it stops at 128 kB."""
    previous = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(previous)
