"""Writes rows as CSV, JSON Lines or Parquet, slice by slice, as they come out of the database."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from auditdb._export import columns, compression, row_key
from auditdb._export.files import CHUNK
from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import psycopg
    from psycopg import sql

    from auditdb._export.files import Hashed
    from auditdb._export.row_key import RowKey

FORMATS = ("csv", "jsonl", "parquet")
COMPRESSIONS = ("none", "zstd", "gzip")

GROUP_ROWS = 10_000
"""The most rows of a row group of Parquet."""
GROUP_BYTES = 16 << 20
"""The most bytes of text that a row group of Parquet is gathered up to."""


@dataclass(frozen=True, slots=True)
class Form:
    """How rows are written."""

    format: str = "csv"
    """csv, jsonl or parquet."""
    compression: str = "none"
    """none, zstd or gzip."""
    spreadsheet: bool = False
    """Whether cells of CSV that a spreadsheet would run begin with an apostrophe."""

    @property
    def suffix(self) -> str:
        """What the names of its files end in."""
        # Parquet compresses its columns by itself.
        outer = "" if self.format == "parquet" else compression.SUFFIX[self.compression]
        return f".{self.format}{outer}"

    @property
    def library(self) -> str | None:
        """What compresses, and its version: other versions may give other bytes."""
        if self.format == "parquet":
            return f"pyarrow {pyarrow().__version__}"
        return compression.library(self.compression)

    def check(self) -> None:
        """Raise ExportFailed where there is no such form, or no library for it."""
        if self.format not in FORMATS or self.compression not in COMPRESSIONS:
            raise ExportFailed(f"There is no format {self.format} with {self.compression}.")
        if self.spreadsheet and self.format != "csv":
            raise ExportFailed("Only CSV is read by spreadsheets: add --format csv.")
        if self.format == "parquet":
            pyarrow()
        else:
            compression.frame(self.compression)


@dataclass(frozen=True, slots=True)
class Written:
    """The rows of a slice that were written."""

    rows: int
    first: RowKey | None
    last: RowKey | None


class Writer(Protocol):
    """Writes one file; what write() has written stands until close()."""

    can_go_on: bool
    """Whether a file can be gone on with after a slice."""

    def begin(self) -> None:
        """Write what comes before the rows."""
        ...

    def write(
        self, cursor: psycopg.Cursor[Any], where: sql.Composable, tell: Callable[[int], None]
    ) -> Written:
        """Write the rows that meet `where`; `tell` is told how many, now and then."""
        ...

    def close(self) -> None:
        """Write what comes after the rows."""
        ...


@contextmanager
def writer(form: Form, to: Hashed) -> Iterator[Writer]:
    """Give what writes rows in `form`; `to` takes no more after an error."""
    try:
        yield _Parquet(form, to) if form.format == "parquet" else _Text(form, to)
    except BaseException:
        # pyarrow ends a file when it is forgotten, wherever that may be by then.
        to.abandon()
        raise


class _Text:
    """CSV and JSON Lines: bytes of the server, unchanged; a frame of compression for a slice."""

    can_go_on = True

    def __init__(self, form: Form, to: Hashed) -> None:
        self._form = form
        self._to = to

    def begin(self) -> None:
        names = ",".join(columns.COLUMNS) + "\n" if self._form.format == "csv" else ""
        self._frame(iter([names.encode()]))

    def write(
        self, cursor: psycopg.Cursor[Any], where: sql.Composable, tell: Callable[[int], None]
    ) -> Written:
        if self._form.format == "csv":
            query = columns.csv_query(where, spreadsheet=self._form.spreadsheet)
        else:
            query = columns.json_query(where)
        rows, first, last = 0, b"", b""

        def blocks() -> Generator[bytes]:
            nonlocal rows, first, last
            gathered: list[bytes | bytearray | memoryview] = []
            size = told = 0
            with cursor.copy(query) as copy:
                for row in copy:
                    if not rows:
                        first = bytes(row)
                    rows += 1
                    size += len(row)
                    gathered.append(row)
                    if size >= CHUNK:
                        last = bytes(row)
                        yield b"".join(gathered)
                        gathered.clear()
                        tell(rows - told)
                        size, told = 0, rows
            if gathered:
                last = bytes(gathered[-1])
                yield b"".join(gathered)
            tell(rows - told)

        # Where writing fails the COPY must end before anything else is said to the server.
        with closing(blocks()) as found:
            self._frame(found)
        if not rows:
            return Written(0, None, None)
        key = csv_key if self._form.format == "csv" else json_key
        return Written(rows, key(first, self._form.spreadsheet), key(last, self._form.spreadsheet))

    def close(self) -> None:
        """There is nothing after the rows."""

    def _frame(self, blocks: Iterator[bytes]) -> None:
        frame = compression.frame(self._form.compression)
        for block in blocks:
            self._to.write(frame.compress(block))
        self._to.write(frame.flush())


def csv_key(line: bytes, spreadsheet: bool) -> RowKey:
    """Return the key of a row that was written as CSV."""
    with any_size():
        return cells_key(next(csv.reader([line.decode()], strict=True)), spreadsheet)


@contextmanager
def any_size() -> Iterator[None]:
    """Let Python's CSV reader take cells of any size; by itself it stops at 128 kB."""
    previous = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(previous)


def cells_key(cells: list[str], spreadsheet: bool) -> RowKey:
    """Return the key of a row of CSV; raises ValueError where it has none."""
    row_id, _, occurred_at, account = cells[:4]
    if spreadsheet:
        account = columns.unguarded(account)
    return row_key.key_of(occurred_at, row_id, account)


def json_key(line: bytes, _spreadsheet: bool) -> RowKey:
    """Return the key of a row that was written as JSON."""
    row = json.loads(line, parse_int=str)
    return row_key.key_of(row["occurred_at"], row["id"], row["account_id"])


def pyarrow() -> Any:
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


def parquet_schema() -> Any:
    """Return the columns of an export as Parquet has them."""
    arrow = pyarrow()
    kinds = {
        "bigint": arrow.int64(),
        "timestamptz": arrow.timestamp("us", tz="UTC"),
        "boolean": arrow.bool_(),
    }
    return arrow.schema(
        [(name, kinds.get(kind, arrow.string())) for name, kind in columns.COLUMNS.items()]
    )


class _Parquet:
    """Parquet: row groups of bounded size; the file can be read only when it is closed."""

    can_go_on = False

    def __init__(self, form: Form, to: Hashed) -> None:
        self._arrow = pyarrow()
        self._schema = parquet_schema()
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0
        self._compression = form.compression
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
        with cursor.copy(columns.typed_query(where)) as copy:
            copy.set_types(columns.TYPED)
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
        return Written(rows, _typed_key(first), _typed_key(row))

    def close(self) -> None:
        self._flush()
        self._file.close()

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


def _typed_key(row: tuple[Any, ...] | None) -> RowKey | None:
    if row is None:
        return None
    return row_key.RowKey(row[2], row[0], row[3].encode())
