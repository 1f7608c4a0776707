"""JSON Lines: one object a line, with every column, in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export import row_key
from auditdb._export.formats import log_rows
from auditdb._export.formats.base import ExportedRow, Format
from auditdb._export.formats.text import TextWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.files import Hashed
    from auditdb._export.formats.base import Form
    from auditdb._export.row_key import RowKey

_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


@dataclass(frozen=True, slots=True)
class _Line(ExportedRow):
    text: str

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
        with form.compression.opened(path) as found:
            for line in found:
                if not line.endswith(b"\n"):
                    raise ValueError("the last line is cut off")
                text = line[:-1].decode()
                row = _DECODER.decode(text)
                if list(row) != names:
                    raise ValueError("the columns are not those of the format")
                yield _Line(_key(row), text)


def _query(form: Form, where: sql.Composable) -> sql.Composed:
    cells = []
    for name, kind in form.version.columns.items():
        cell = f"l.{name}::pg_catalog.text" if kind == "bigint" else f"l.{name}"
        cells.append(f"{log_rows.time_text(name) if kind == 'timestamptz' else cell} as {name}")
    inner = log_rows.select(form.version, cells, where)
    # JSON escapes control characters, so that with these two CSV has nothing to quote.
    return sql.SQL(
        "copy (select pg_catalog.row_to_json(r) from ({}) as r) to stdout"
        " with (format csv, quote E'\\x01', delimiter E'\\x02')"
    ).format(inner)


def _line_key(line: bytes) -> RowKey:
    return _key(json.loads(line, parse_int=str))


def _key(row: dict[str, Any]) -> RowKey:
    return row_key.key_of(row["occurred_at"], row["id"], row["account_id"])
