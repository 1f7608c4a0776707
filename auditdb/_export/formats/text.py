"""Writes text as the server gives it, byte for byte, with a frame of compression for a slice."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from auditdb._export.files import CHUNK
from auditdb._export.formats.base import Written

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import psycopg
    from psycopg import sql

    from auditdb._export.compression import Compression
    from auditdb._export.files import Hashed
    from auditdb._export.row_key import RowKey


class TextWriter:
    """Writes the rows of a COPY as they come."""

    def __init__(
        self,
        to: Hashed,
        compression: Compression,
        *,
        header: str,
        query: Callable[[sql.Composable], sql.Composed],
        key: Callable[[bytes], RowKey],
    ) -> None:
        """Write `header` and the rows of `query`, whose `key` tells them apart."""
        self._to = to
        self._compression = compression
        self._header = header
        self._query = query
        self._key = key

    def begin(self) -> None:
        """Write the header."""
        self._frame(iter([self._header.encode()]))

    def write(
        self, cursor: psycopg.Cursor[Any], where: sql.Composable, tell: Callable[[int], None]
    ) -> Written:
        """Write the rows that meet `where`, in one frame."""
        rows, first, last = 0, b"", b""

        def blocks() -> Generator[bytes]:
            nonlocal rows, first, last
            gathered: list[bytes | bytearray | memoryview] = []
            size = told = 0
            with cursor.copy(self._query(where)) as copy:
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
        return Written(rows, self._key(first), self._key(last)) if rows else Written(0, None, None)

    def close(self) -> None:
        """There is nothing after the rows."""

    def _frame(self, blocks: Iterator[bytes]) -> None:
        frame = self._compression.frame()
        for block in blocks:
            self._to.write(frame.compress(block))
        self._to.write(frame.flush())
