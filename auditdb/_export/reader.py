"""Reads the rows of a file of an export, one at a time, whatever its format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditdb._export import columns, compression, formats, row_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.formats import Form
    from auditdb._export.row_key import RowKey

_NAMES = list(columns.COLUMNS)
_OF_JSON = json.JSONDecoder(parse_int=str, parse_float=str)
_OF_PARQUET = [_NAMES.index(name) for name in ("occurred_at", "id", "account_id")]
_BATCH = 500
"""Rows of Parquet that are turned into objects at a time."""


class Malformed(Exception):
    """A file is not of its format."""


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A row of an export."""

    key: RowKey
    cells: str | tuple[Any, ...]
    """Its line of JSON, or its cells as Parquet has them; empty for CSV."""

    @property
    def line(self) -> str:
        """The row as JSON, in the form of JSON Lines; empty for CSV."""
        return self.cells if isinstance(self.cells, str) else _line(self.cells)


def rows(path: Path, form: Form) -> Iterator[ExportedRow]:
    """Yield the rows of a file; raises Malformed where it is not one of `form`."""
    read = {"csv": _csv, "jsonl": _json, "parquet": _parquet}[form.format]
    number = 0
    try:
        for row in read(path, form):
            number += 1
            yield row
    except (ValueError, csv.Error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"after row {number}: {error}") from error
    except Exception as error:
        if not compression.broken(error):
            raise
        raise Malformed(f"after row {number}: what is compressed is broken ({error})") from error


def _json(path: Path, form: Form) -> Iterator[ExportedRow]:
    with compression.opened(path, form.compression) as found:
        for line in found:
            if not line.endswith(b"\n"):
                raise ValueError("the last line is cut off")
            text = line[:-1].decode()
            row = _OF_JSON.decode(text)
            if list(row) != _NAMES:
                raise ValueError("the columns are not those of the format")
            yield ExportedRow(
                row_key.key_of(row["occurred_at"], row["id"], row["account_id"]), text
            )


def _csv(path: Path, form: Form) -> Iterator[ExportedRow]:
    with (
        formats.any_size(),
        compression.opened(path, form.compression) as found,
        io.TextIOWrapper(found, "utf-8", newline="") as text,
    ):
        lines = csv.reader(text, strict=True)
        if next(lines, None) != _NAMES:
            raise ValueError("the header is not that of the format")
        for cells in lines:
            if len(cells) != len(_NAMES):
                raise ValueError(f"there are {len(cells)} cells instead of {len(_NAMES)}")
            yield ExportedRow(formats.cells_key(cells, form.spreadsheet), "")


def _parquet(path: Path, _form: Form) -> Iterator[ExportedRow]:
    arrow = formats.pyarrow()
    moment, number, account = _OF_PARQUET
    with arrow.parquet.ParquetFile(path) as found:
        if not found.schema_arrow.equals(formats.parquet_schema()):
            raise ValueError("the columns are not those of the format")
        for batch in found.iter_batches(batch_size=_BATCH):
            values = [column.to_pylist() for column in _plain(arrow, batch, moment)]
            for cells in zip(*values, strict=True):
                if cells[moment] is None or cells[number] is None:
                    raise ValueError("a row has no time or no id")
                key = row_key.RowKey(cells[moment], cells[number], cells[account].encode())
                yield ExportedRow(key, cells)


def _plain(arrow: Any, batch: Any, moment: int) -> list[Any]:
    # Python's times end with the year 9999, numbers do not.
    return [
        column.cast(arrow.int64()) if number == moment else column
        for number, column in enumerate(batch.columns)
    ]


def _line(cells: tuple[Any, ...]) -> str:
    row = dict(zip(_NAMES, cells, strict=True))
    documents = {name: row.pop(name) for name in ("changes", "context")}
    row |= {
        "id": str(row["id"]),
        "tx": str(row["tx"]),
        "occurred_at": row_key.to_text(row["occurred_at"]),
    }
    # As PostgreSQL wrote them: no number is rounded.
    tail = ",".join(f'"{name}":{text or "null"}' for name, text in documents.items())
    return f"{json.dumps(row, ensure_ascii=False)[:-1]},{tail}}}"
