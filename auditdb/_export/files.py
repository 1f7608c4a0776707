"""Files that are either whole or not there: for their owner alone, written beside, then renamed."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

PART = ".part"
"""What the name of a file ends in that is not whole yet."""

CHUNK = 1 << 20
"""Bytes that are read or written at a time."""


class Hashed(io.RawIOBase):
    """A file to write to that counts its bytes and hashes them."""

    def __init__(self, raw: IO[bytes]) -> None:
        """Write to `raw`, which stays open when this is closed."""
        self._raw: IO[bytes] | None = raw
        self.bytes = 0
        self._hash = hashlib.sha256()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")
        if self._raw is not None:
            self._raw.write(view)
        self.seen(view)
        return len(view)

    def seen(self, data: bytes | memoryview) -> None:
        """Count and hash `data` that is in the file already."""
        self._hash.update(data)
        self.bytes += len(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.bytes

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self._raw is not None:
            self._raw.flush()

    def abandon(self) -> None:
        """Drop what is written from now on."""
        self._raw = None

    @property
    def sha256(self) -> str:
        """The hash of what was written so far, in hexadecimal."""
        return self._hash.copy().hexdigest()


def real(path: Path) -> Path:
    """Return what `path` is, through all links; one that leads round in circles as it is."""
    return type(path)(os.path.realpath(path))


def part_of(path: Path) -> Path:
    """Return where `path` is written before it is whole."""
    return path.with_name(path.name + PART)


def opened_private(path: Path, flags: int, mode: str) -> IO[bytes]:
    """Open a file, made if it is not there, that its owner alone may read, whatever the umask."""
    # A link that somebody has put there would have another file overwritten.
    descriptor = os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    found = os.fdopen(descriptor, mode)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)
    return found


def open_part(path: Path, *, keep: int = 0) -> IO[bytes]:
    """Open the part of `path` to write after its first `keep` bytes; all that follows is lost."""
    found = opened_private(part_of(path), os.O_RDWR, "r+b")
    found.truncate(keep)
    found.seek(keep)
    return found


def sync(found: IO[bytes]) -> None:
    """Have what was written to a file on the disk before this returns."""
    found.flush()
    os.fsync(found.fileno())


def publish(path: Path) -> None:
    """Give the part of `path`, which is whole and on the disk, its name."""
    part_of(path).replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on the disk, where the system knows such a thing."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path`, which is then either as before or whole."""
    data = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
    with open_part(path) as found:
        found.write(data)
        sync(found)
    publish(path)


def make_directory(directory: Path) -> None:
    """Make `directory`, for its owner alone, unless it is there; its parent must be."""
    try:
        directory.mkdir(mode=0o700)
        directory.chmod(0o700)
    except FileExistsError:
        if not directory.is_dir():
            raise ExportFailed(f"{directory} is no directory.") from None
    except OSError as error:
        raise ExportFailed(f"{directory} cannot be made: {error.strerror}.") from error
    else:
        sync_directory(directory.parent)


@contextmanager
def locked(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep others out who lock `directory`; raises ExportFailed where one does, or waits for it."""
    if os.name != "posix":
        yield
        return
    import fcntl  # not on Windows

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise ExportFailed(
                f"Another export is at work in {directory}.", hint="Wait for it to end."
            ) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def disk(
    path: Path, hint: str = "After it is mended, the same command goes on where it stopped."
) -> Iterator[None]:
    """Raise what the disk or its rights make impossible as ExportFailed."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ExportFailed(
            f"{error.filename or path}: {error.strerror or error}.",
            hint=hint,
        ) from error
