"""Parquet: columns with types, in row groups of bounded size; read by the library pyarrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export.formats import documents, log_rows
from auditdb._export.formats.base import ExportedRow, Format, Written
from auditdb._export.row_key import RowKey
from auditdb._query import page_cursor
from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import psycopg

    from auditdb._export.files import Hashed
    from auditdb._export.formats.base import Form
    from auditdb._export.versions import FormatVersion

GROUP_ROWS = 10_000
"""The most rows of a row group."""
GROUP_BYTES = 16 << 20
"""The most bytes of text that a row group is gathered up to."""
_BATCH = 500
"""Rows that are turned into objects at a time."""

# How the values of a column come out of the database; a time as microseconds.
_BINARY = {"bigint": "int8", "timestamptz": "int8", "integer": "int4", "boolean": "bool"}


class Parquet(Format):
    """A file can be read only when it is closed, so that none is resumed."""

    name = "parquet"
    title = "Parquet"
    can_resume = False
    can_import = True
    compresses_inside = True

    def library(self) -> str:
        """Return the name and version of pyarrow."""
        return f"pyarrow {_pyarrow().__version__}"

    def writer(self, form: Form, to: Hashed) -> _Writer:
        """Return what writes one file of `form`."""
        return _Writer(form, to)

    def read(self, path: Path, form: Form) -> Iterator[ExportedRow]:
        """Yield the rows of a file with their cells."""
        arrow = _pyarrow()
        places = form.key_places
        with arrow.parquet.ParquetFile(path) as found:
            if not found.schema_arrow.equals(schema(form.version)):
                raise ValueError("the columns are not those of the format")
            for batch in found.iter_batches(batch_size=_BATCH):
                # Python's times end with the year 9999, numbers do not.
                plain = [
                    column.cast(arrow.int64()) if arrow.types.is_timestamp(column.type) else column
                    for column in batch.columns
                ]
                for cells in zip(*(column.to_pylist() for column in plain), strict=True):
                    yield _Cells(_key(cells, places), cells, form.version)

    def is_broken(self, error: BaseException) -> bool:
        """Return whether `error` is one of pyarrow's about what it reads."""
        return isinstance(error, OSError) and error.errno is None


@dataclass(frozen=True, slots=True)
class _Cells(ExportedRow):
    found: tuple[Any, ...]
    version: FormatVersion

    @property
    def cells(self) -> Mapping[str, Any]:
        """The cells, with documents read and the time as text."""
        columns = zip(self.version.columns.items(), self.found, strict=True)
        return {name: _cell(kind, cell) for (name, kind), cell in columns}

    @property
    def has_escapes(self) -> bool:
        """Whether a text holds U+0000, or a document a character by its number."""
        return any(type(one) is str and ("\0" in one or "\\u" in one) for one in self.found)

    @property
    def line(self) -> str:
        """The row as JSON, with documents as PostgreSQL wrote them: no number is rounded."""
        columns = zip(self.version.columns.items(), self.found, strict=True)
        return f"{{{','.join(_member(name, kind, cell) for (name, kind), cell in columns)}}}"


def _key(cells: Sequence[Any], places: Sequence[int]) -> RowKey:
    """Return the key of a row; raises ValueError where it has none."""
    moment, number, tx, account = (cells[place] for place in places)
    if moment is None or number is None or tx is None or account is None:
        raise ValueError("a row has no time, id, transaction or account")
    return RowKey(moment, number, tx, account.encode())


def _cell(kind: str, cell: Any) -> Any:
    if cell is None:
        return None
    if kind == "jsonb":
        return documents.read(cell)
    if kind == "timestamptz":
        return page_cursor.to_iso(cell)
    return str(cell) if kind in ("bigint", "integer") else cell


def _member(name: str, kind: str, cell: Any) -> str:
    if kind == "jsonb":
        value = cell or "null"
    elif cell is None:
        value = "null"
    elif kind == "timestamptz":
        value = json.dumps(page_cursor.to_iso(cell))
    else:
        value = json.dumps(str(cell) if kind == "bigint" else cell, ensure_ascii=False)
    return f'"{name}":{value}'


def _pyarrow() -> Any:
    """Return the module pyarrow; raises ExportFailed without it."""
    try:
        import pyarrow as module  # an extra, which other formats do without
        import pyarrow.parquet
    except ImportError:
        raise ExportFailed(
            "Parquet needs the package pyarrow.",
            hint="Install auditdb with the extra parquet: pip install 'auditdb[parquet]'",
        ) from None
    return module


def schema(version: FormatVersion) -> Any:
    """Return the columns of a format version as Parquet has them."""
    arrow = _pyarrow()
    kinds = {
        "bigint": arrow.int64(),
        "timestamptz": arrow.timestamp("us", tz="UTC"),
        "integer": arrow.int32(),
        "boolean": arrow.bool_(),
    }
    return arrow.schema(
        [(name, kinds.get(kind, arrow.string())) for name, kind in version.columns.items()]
    )


def _query(version: FormatVersion, where: sql.Composable) -> sql.Composed:
    """Return the COPY of rows as values of their types."""
    cells = []
    for name, kind in version.columns.items():
        cell = log_rows.text(name) if kind in ("text", "jsonb") else f"l.{name}"
        cells.append(log_rows.microseconds(name) if kind == "timestamptz" else cell)
    inner = log_rows.select(version, cells, where)
    return sql.SQL("copy ({}) to stdout with (format binary)").format(inner)


class _Writer:
    def __init__(self, form: Form, to: Hashed) -> None:
        self._arrow = _pyarrow()
        self._version = form.version
        self._places = form.key_places
        self._schema = schema(form.version)
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0
        self._compression = form.compression.name
        self._to = to
        self._file: Any = None

    def begin(self) -> None:
        self._file = self._arrow.parquet.ParquetWriter(
            self._arrow.PythonFile(self._to, mode="w"),
            self._schema,
            compression=self._compression,
        )

    def write(
        self, cursor: psycopg.Cursor[Any], where: sql.Composable, tell: Callable[[int], None]
    ) -> Written:
        rows = 0
        first: tuple[Any, ...] | None = None
        row: tuple[Any, ...] | None = None
        with cursor.copy(_query(self._version, where)) as copy:
            copy.set_types([_BINARY.get(kind, "text") for kind in self._version.columns.values()])
            for row in copy.rows():
                first = first or row
                rows += 1
                self._rows.append(row)
                self._size += sum(len(cell) for cell in row if isinstance(cell, str))
                if len(self._rows) >= GROUP_ROWS or self._size >= GROUP_BYTES:
                    self._flush()
                if rows % 5000 == 0:
                    tell(5000)
        tell(rows % 5000)
        return Written(rows, self._key(first), self._key(row))

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _key(self, row: Sequence[Any] | None) -> RowKey | None:
        return None if row is None else _key(row, self._places)

    def _flush(self) -> None:
        if not self._rows:
            return
        arrays = [
            self._arrow.array(cells, type=field.type)
            for cells, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        table = self._arrow.Table.from_arrays(arrays, schema=self._schema)
        self._rows.clear()
        self._size = 0
        self._file.write_table(table, row_group_size=GROUP_ROWS)
