"""Compresses in frames that stand alone, one after another, so that writing can go on after one."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol, cast

from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3


class Frame(Protocol):
    """One frame of compressed data."""

    def compress(self, data: bytes) -> bytes:
        """Return what there is of the frame with `data` in it."""
        ...

    def flush(self) -> bytes:
        """Return the rest of the frame."""
        ...


class Compression:
    """One way to compress a file; this one leaves it as it is."""

    name: ClassVar[str] = "none"
    suffix: ClassVar[str] = ""
    """What the names of its files end in."""
    broken: ClassVar[tuple[type[BaseException], ...]] = ()
    """What reading a file raises that is not what this compression made it."""

    def library(self) -> str | None:
        """Return the name and version of what compresses, None for no compression.

        Raises ExportFailed where it is not installed.
        """
        return None

    def frame(self) -> Frame:
        """Begin a frame; raises ExportFailed where the library for it is not installed."""
        return _Plain()

    def opened(self, path: Path) -> AbstractContextManager[IO[bytes]]:
        """Open a file to read what was compressed into it, frame after frame."""
        return path.open("rb")

    def is_broken(self, error: BaseException) -> bool:
        """Return whether `error` says that a file is not what this compression made it."""
        return isinstance(error, self.broken)


def lines(found: IO[bytes], longest: int) -> Iterator[bytes]:
    """Yield the lines of a file; one of more than `longest` bytes comes as its beginning."""
    return iter(lambda: found.readline(longest + 1), b"")


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Gzip(Compression):
    name = "gzip"
    suffix = ".gz"
    broken = (EOFError, zlib.error, gzip.BadGzipFile)

    def library(self) -> str:
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"

    def frame(self) -> Frame:
        # With a gzip header, which has neither a name nor a time in it.
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)

    @contextmanager
    def opened(self, path: Path) -> Iterator[IO[bytes]]:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as unpacked:
            yield cast("IO[bytes]", unpacked)


class _Zstd(Compression):
    name = "zstd"
    suffix = ".zst"

    def library(self) -> str:
        return f"zstd {'.'.join(map(str, _zstandard().ZSTD_VERSION))}"

    def frame(self) -> Frame:
        return cast("Frame", _zstandard().ZstdCompressor(level=_ZSTD_LEVEL).compressobj())

    @contextmanager
    def opened(self, path: Path) -> Iterator[IO[bytes]]:
        with path.open("rb") as raw:
            reader = _zstandard().ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            with io.BufferedReader(reader, 1 << 20) as unpacked:
                yield cast("IO[bytes]", unpacked)

    def is_broken(self, error: BaseException) -> bool:
        # Named rather than caught: without the library there is no such class.
        return type(error).__name__ == "ZstdError"


def _zstandard() -> Any:
    """Return the module zstandard; raises ExportFailed without it."""
    try:
        import zstandard as module  # an extra, which other formats do without
    except ImportError:
        raise ExportFailed(
            "zstd needs the package zstandard.",
            hint="Install auditdb with the extra zstd: pip install 'auditdb[zstd]'",
        ) from None
    return module


COMPRESSIONS = {one.name: one for one in (Compression(), _Zstd(), _Gzip())}
"""Every way to compress, by its name."""
