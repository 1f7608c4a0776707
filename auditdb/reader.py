"""Reads the rows of a file of an export, one at a time, whatever its format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditdb import columns, compression, formats, rowkey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb.formats import Form
    from auditdb.rowkey import RowKey

_NAMES = list(columns.COLUMNS)
_TEXTS = [name for name, kind in columns.COLUMNS.items() if kind == "text"]
_BATCH = 500
"""Rows of Parquet that are turned into objects at a time."""


class Malformed(Exception):
    """A file is not of its format."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an export."""

    key: RowKey
    line: str
    """The row as JSON, in the form of JSON Lines; empty for CSV."""
    about: dict[str, str | None]
    """The columns of text."""


def rows(path: Path, form: Form) -> Iterator[Row]:
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


def _json(path: Path, form: Form) -> Iterator[Row]:
    with compression.opened(path, form.compression) as found:
        for line in found:
            if not line.endswith(b"\n"):
                raise ValueError("the last line is cut off")
            row = json.loads(line, parse_int=str, parse_float=str)
            if list(row) != _NAMES:
                raise ValueError("the columns are not those of the format")
            yield Row(_key(row), line[:-1].decode(), {name: row[name] for name in _TEXTS})


def _csv(path: Path, form: Form) -> Iterator[Row]:
    with (
        formats.any_size(),
        compression.opened(path, form.compression) as found,
        io.TextIOWrapper(found, "utf-8", newline="") as text,
    ):
        lines = csv.reader(text, strict=True)
        if next(lines, None) != _NAMES:
            raise ValueError("the header is not that of the format")
        for cells in lines:
            row = dict(zip(_NAMES, cells, strict=True))
            key = formats.cells_key(cells, form.spreadsheet)
            clean = columns.unguarded if form.spreadsheet else str
            yield Row(key, "", {name: clean(row[name]) for name in _TEXTS})


def _parquet(path: Path, _form: Form) -> Iterator[Row]:
    arrow = formats.pyarrow()
    with arrow.parquet.ParquetFile(path) as found:
        if not found.schema_arrow.equals(formats.parquet_schema()):
            raise ValueError("the columns are not those of the format")
        moment = _NAMES.index("occurred_at")
        for batch in found.iter_batches(batch_size=_BATCH):
            cells = [column.to_pylist() for column in _plain(arrow, batch, moment)]
            for values in zip(*cells, strict=True):
                row = dict(zip(_NAMES, values, strict=True))
                row |= {
                    "id": str(row["id"]),
                    "tx": str(row["tx"]),
                    "occurred_at": rowkey.to_text(row["occurred_at"]),
                }
                yield Row(_key(row), _line(row), {name: row[name] for name in _TEXTS})


def _plain(arrow: Any, batch: Any, moment: int) -> list[Any]:
    # Python's times end with the year 9999, numbers do not.
    return [
        column.cast(arrow.int64()) if number == moment else column
        for number, column in enumerate(batch.columns)
    ]


def _line(row: dict[str, Any]) -> str:
    documents = {name: row[name] for name in ("changes", "context")}
    plain = {name: cell for name, cell in row.items() if name not in documents}
    # As PostgreSQL wrote them: no number is rounded.
    tail = ",".join(f'"{name}":{text or "null"}' for name, text in documents.items())
    return f"{json.dumps(plain, ensure_ascii=False)[:-1]},{tail}}}"


def _key(row: dict[str, Any]) -> RowKey:
    return rowkey.key_of(row["occurred_at"], row["id"], row["account_id"])
