"""Compresses in frames that stand alone, one after another, so that writing can go on after one."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = {"none": "", "gzip": ".gz", "zstd": ".zst"}
"""What the name of a file ends in, by compression."""

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


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def frame(compression: str) -> Frame:
    """Begin a frame; raises ExportFailed where the library for it is not installed."""
    if compression == "gzip":
        # With a gzip header, which has neither a name nor a time in it.
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    if compression == "zstd":
        return cast("Frame", zstandard().ZstdCompressor(level=_ZSTD_LEVEL).compressobj())
    return _Plain()


def library(compression: str) -> str | None:
    """Return the name and version of what compresses, None for no compression."""
    if compression == "gzip":
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    if compression == "zstd":
        return f"zstd {'.'.join(map(str, zstandard().ZSTD_VERSION))}"
    return None


def zstandard() -> Any:
    """Return the module zstandard; raises ExportFailed without it."""
    try:
        import zstandard as module  # an extra, which other formats do without
    except ImportError:
        raise ExportFailed(
            "zstd needs the package zstandard.",
            hint="Install auditdb with the extra zstd: pip install 'auditdb[zstd]'",
        ) from None
    return module


@contextmanager
def opened(path: Path, compression: str) -> Iterator[IO[bytes]]:
    """Open a file to read what was compressed into it, frame after frame."""
    with path.open("rb") as raw:
        if compression == "gzip":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast("IO[bytes]", unpacked)
        elif compression == "zstd":
            reader = zstandard().ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            with io.BufferedReader(reader, 1 << 20) as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            yield raw


def broken(error: BaseException) -> bool:
    """Return whether `error` says that a file is not what compression made it."""
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return True
    if isinstance(error, OSError) and error.errno is None:  # what pyarrow raises
        return True
    return type(error).__name__ == "ZstdError"
