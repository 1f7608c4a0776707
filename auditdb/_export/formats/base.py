"""What a format of exports is, and how one file of an export is written and read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from auditdb._export.versions import ORDER
from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import psycopg
    from psycopg import sql

    from auditdb._export.compression import Compression
    from auditdb._export.files import Hashed
    from auditdb._export.row_key import RowKey
    from auditdb._export.versions import FormatVersion


@dataclass(frozen=True, slots=True)
class Written:
    """The rows of a slice that were written."""

    rows: int
    first: RowKey | None
    last: RowKey | None


class Writer(Protocol):
    """Writes one file; what write() has written stands until close()."""

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


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A row of an export."""

    key: RowKey

    @property
    def cells(self) -> Mapping[str, Any]:
        """What the row says, with documents read; empty where its format is not imported.

        Raises ValueError where a cell cannot be read.
        """
        return {}

    @property
    def has_escapes(self) -> bool:
        """Whether a text of the row may hold what PostgreSQL's texts do not."""
        return False

    @property
    def line(self) -> str:
        """The row as JSON, in the form of JSON Lines; empty where its format is not imported."""
        return ""


class Format(ABC):
    """A format of exports; there is one object of each, in the registry of this package."""

    name: ClassVar[str]
    """What it is asked for by, and what the names of its files end in."""
    title: ClassVar[str]
    """What people call it."""
    can_resume: ClassVar[bool]
    """Whether a file that was broken off can be resumed after a slice."""
    can_import: ClassVar[bool]
    """Whether nothing of a row is lost, so that it can be imported: its rows then have a line."""
    for_spreadsheets: ClassVar[bool] = False
    """Whether it can be written so that a spreadsheet runs none of its cells."""
    leaves_out: ClassVar[frozenset[str]] = frozenset()
    """Columns that it has not: those by which alone a log is restored."""
    compresses_inside: ClassVar[bool] = False
    """Whether the format itself compresses, by its own means."""
    broken: ClassVar[tuple[type[BaseException], ...]] = ()
    """What its library raises where a file is not what it made it."""

    def library(self) -> str | None:
        """Return the name and version of what makes the bytes, None where that is the server.

        Raises ExportFailed where it is not installed.
        """
        return None

    @abstractmethod
    def writer(self, form: Form, to: Hashed) -> Writer:
        """Return what writes one file of `form`, which is of this format."""

    @abstractmethod
    def read(self, path: Path, form: Form) -> Iterator[ExportedRow]:
        """Yield the rows of a file; raises ValueError and the like where it is not of `form`."""

    def lines(self, path: Path, form: Form) -> Iterator[str]:
        """Yield the lines of the rows of a file that was read before; raises as read()."""
        return (row.line for row in self.read(path, form))

    def unguarded(self, cell: str) -> str:
        """Return what a cell was before what keeps a spreadsheet from running it."""
        return cell

    def is_broken(self, error: BaseException) -> bool:
        """Return whether `error` says that a file is not what the format's library made it."""
        return isinstance(error, self.broken)


LONGEST = 16 << 20
"""The most bytes of a row that is read, unless somebody asks for more."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of an export are written: what its manifest says of the data."""

    format: Format
    compression: Compression
    spreadsheet: bool
    """Whether cells that a spreadsheet would run begin with an apostrophe."""
    version: FormatVersion
    longest: int = LONGEST
    """The most bytes of a row that is read: memory is bounded, whatever a file says."""

    @property
    def columns(self) -> dict[str, str]:
        """Name and type of each column, in order."""
        left_out = self.format.leaves_out
        return {name: kind for name, kind in self.version.columns.items() if name not in left_out}

    @property
    def key_places(self) -> tuple[int, ...]:
        """The places of time, id, transaction and account among the columns."""
        names = list(self.columns)
        return tuple(names.index(name) for name in ORDER)

    @property
    def suffix(self) -> str:
        """What the names of its files end in."""
        outer = "" if self.format.compresses_inside else self.compression.suffix
        return f".{self.format.name}{outer}"

    @property
    def library(self) -> str | None:
        """What makes or compresses the bytes, and its version: others may give other bytes.

        Raises ExportFailed where it is not installed.
        """
        return self.format.library() or self.compression.library()

    def too_long(self) -> ValueError:
        """Return the error for a row that is longer than any that is read."""
        return ValueError(
            f"the next row is longer than {self.longest >> 20} MiB;"
            " where it is meant to be, --longest-row says how long"
        )

    def check(self) -> None:
        """Raise ExportFailed where there is no such form, or no library for it."""
        if self.spreadsheet and not self.format.for_spreadsheets:
            raise ExportFailed(f"{self.format.title} is not read by spreadsheets.")
        _ = self.library

    @contextmanager
    def writing(self, to: Hashed) -> Iterator[Writer]:
        """Give what writes a file; `to` takes no more after an error."""
        try:
            yield self.format.writer(self, to)
        except BaseException:
            # pyarrow ends a file when it is forgotten, wherever that may be by then.
            to.abandon()
            raise

    def accounts(self, account: str) -> set[str]:
        """Return what rows of `account` may have as account_id."""
        # What looks like a spreadsheet's apostrophe may be the account's own.
        return {account, self.format.unguarded(account)} if self.spreadsheet else {account}

    def is_broken(self, error: BaseException) -> bool:
        """Return whether `error` says that what is compressed is broken."""
        return self.format.is_broken(error) or self.compression.is_broken(error)
