"""Parquet: columns with types, in row groups of bounded size; read by the library pyarrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export import row_key
from auditdb._export.formats import documents, log_rows, parquet_pages
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
"""Rows that are turned into objects at a time, where they are short."""
_BATCH_BYTES = 128 << 20
"""The most bytes that they may take, when each has the longest values of a dictionary."""

_encoded = json.JSONEncoder(ensure_ascii=False).encode
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
        converted = [
            (name, kind)
            for name, kind in form.version.columns.items()
            if kind in ("integer", "jsonb")
        ]
        with path.open("rb") as raw, _opened(raw) as found:
            if not found.schema_arrow.equals(schema(form.version)):
                raise ValueError("the columns are not those of the format")
            for batch in _batches(raw, found, form):
                # Python's times end with the year 9999, numbers do not.
                plain = [
                    column.cast(arrow.int64()) if arrow.types.is_timestamp(column.type) else column
                    for column in batch.columns
                ]
                may_be_long = batch.nbytes > form.longest
                for cells in zip(*(column.to_pylist() for column in plain), strict=True):
                    if may_be_long and _size(cells) > form.longest:
                        raise form.too_long()
                    yield _Cells(_key(cells, places), cells, form.version, converted)

    def is_broken(self, error: BaseException) -> bool:
        """Return whether `error` is one of pyarrow's about what it reads."""
        return isinstance(error, OSError) and error.errno is None


def _opened(raw: IO[bytes]) -> Any:
    """Open what export has written; raises ValueError for what others may have."""
    if parquet_pages.footer_size(raw) > parquet_pages.MOST_FOOTER:
        raise ValueError(f"its footer is longer than {parquet_pages.MOST_FOOTER >> 20} MiB")
    found = _pyarrow().parquet.ParquetFile(raw)
    # Of others the library makes allowances, as for columns that are longer than they say.
    if not str(found.metadata.created_by).startswith("parquet-cpp-arrow "):
        raise ValueError("it was not written by auditdb export")
    return found


def _batches(raw: IO[bytes], found: Any, form: Form) -> Iterator[Any]:
    """Yield the rows of a file, some at a time; raises ValueError where they would take too much.

    A row group is gathered by characters, of up to four bytes, and ends with any row.
    """
    most = 4 * GROUP_BYTES + form.longest
    for number in range(found.num_row_groups):
        takes = parquet_pages.unpacked(raw, found.metadata.row_group(number), most)
        if takes.bytes > 2 * most:
            raise ValueError(
                f"row group {number} takes {takes.bytes} bytes, more than the {2 * most} of what"
                " exports have"
            )
        size = min(_BATCH, max(1, _BATCH_BYTES // max(1, takes.dictionaries)))
        yield from found.iter_batches(batch_size=size, row_groups=[number])


@dataclass(frozen=True, slots=True)
class _Cells(ExportedRow):
    found: tuple[Any, ...]
    version: FormatVersion
    converted: Sequence[tuple[str, str]]
    """The columns that JSON Lines has in another form."""

    @property
    def cells(self) -> Mapping[str, Any]:
        """The cells, with documents read; time, id and transaction are numbers."""
        cells = dict(zip(self.version.columns, self.found, strict=True))
        for name, kind in self.converted:
            if cells[name] is not None:
                cells[name] = (documents.read if kind == "jsonb" else _number)(cells[name])
        return cells

    @property
    def has_escapes(self) -> bool:
        """Whether a text holds U+0000, or a document a character by its number."""
        return any(type(one) is str and ("\0" in one or "\\u" in one) for one in self.found)

    @property
    def line(self) -> str:
        """The row as JSON, with documents as PostgreSQL wrote them: no number is rounded."""
        columns = zip(self.version.columns.items(), self.found, strict=True)
        return f"{{{','.join(_member(name, kind, cell) for (name, kind), cell in columns)}}}"


def _size(cells: Sequence[Any]) -> int:
    return sum(len(cell) for cell in cells if isinstance(cell, str))


def _key(cells: Sequence[Any], places: Sequence[int]) -> RowKey:
    """Return the key of a row; raises ValueError where it has none."""
    moment, number, tx, account = (cells[place] for place in places)
    if moment is None or number is None or tx is None or account is None:
        raise ValueError("a row has no time, id, transaction or account")
    row_key.check_moment(moment)
    return RowKey(moment, number, tx, account.encode())


def _number(cell: int) -> documents.Number:
    return documents.Number(cell)


def _member(name: str, kind: str, cell: Any) -> str:
    if kind == "jsonb":
        value = cell or "null"
    elif cell is None:
        value = "null"
    elif kind == "timestamptz":
        value = f'"{page_cursor.to_iso(cell)}"'
    else:
        value = _encoded(str(cell) if kind == "bigint" else cell)
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
                self._size += _size(row)
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
