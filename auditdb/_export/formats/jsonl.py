"""JSON Lines: one object a line, with every column, in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export import compression, row_key
from auditdb._export.formats import documents, log_rows
from auditdb._export.formats.base import ExportedRow, Format
from auditdb._export.formats.text import TextWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from auditdb._export.files import Hashed
    from auditdb._export.formats.base import Form
    from auditdb._export.row_key import RowKey


@dataclass(frozen=True, slots=True)
class _Line(ExportedRow):
    row: Mapping[str, Any]
    text: str

    @property
    def cells(self) -> Mapping[str, Any]:
        """What the line says, with the numbers in it as text."""
        return self.row

    @property
    def has_escapes(self) -> bool:
        """Whether a character is written as its number."""
        return "\\u" in self.text

    @property
    def line(self) -> str:
        """The line as it stands in the file."""
        return self.text


class JsonLines(Format):
    """Ids are strings, documents as PostgreSQL prints them."""

    name = "jsonl"
    title = "JSON Lines"
    can_resume = True
    can_import = True

    def writer(self, form: Form, to: Hashed) -> TextWriter:
        """Return what writes one file of `form`."""
        return TextWriter(
            to, form.compression, header="", query=partial(_query, form), key=_line_key
        )

    def read(self, path: Path, form: Form) -> Iterator[ExportedRow]:
        """Yield the rows of a file with their lines."""
        names = form.version.names
        for text in self.lines(path, form):
            row = documents.read(text)
            if list(row) != names:
                raise ValueError("the columns are not those of the format")
            yield _Line(_key(row), row, text)

    def lines(self, path: Path, form: Form) -> Iterator[str]:
        """Yield the lines of a file, without a look into them."""
        with form.compression.opened(path) as found:
            for line in compression.lines(found, form.longest):
                if len(line) > form.longest:
                    raise form.too_long()
                if not line.endswith(b"\n"):
                    raise ValueError("the last line is cut off")
                yield line[:-1].decode()


def _query(form: Form, where: sql.Composable) -> sql.Composed:
    cells = []
    for name, kind in form.version.columns.items():
        cell = f"l.{name}"
        if kind == "bigint":
            cell = log_rows.text(name)
        elif kind == "timestamptz":
            cell = log_rows.time_text(name)
        elif kind == "jsonb":
            cell = f"({log_rows.text(name)})::pg_catalog.json"
        cells.append(f"{cell} as {name}")
    inner = log_rows.select(form.version, cells, where)
    # JSON escapes control characters, so that with these two CSV has nothing to quote.
    return sql.SQL(
        "copy (select pg_catalog.row_to_json(r) from ({}) as r) to stdout"
        " with (format csv, quote E'\\x01', delimiter E'\\x02')"
    ).format(inner)


def _line_key(line: bytes) -> RowKey:
    return _key(json.loads(line, parse_int=str))


def _key(row: dict[str, Any]) -> RowKey:
    return row_key.key_of(row["occurred_at"], row["id"], row["tx"], row["account_id"])
