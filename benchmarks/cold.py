"""Starts a server anew with nothing of it in memory, so that what is read comes from the disk."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.servers import as_account, unprivileged_account

if TYPE_CHECKING:
    from tests.support.servers import Server


def can_restart(server: Server) -> bool:
    """Return whether `server` runs here from a directory of its own; others are left alone."""
    return (Path(server.host) / "data" / "postmaster.pid").exists()


def restart(server: Server, since: float = 0.0) -> float:
    """Stop the server, take its files out of the system's cache where that can be, start it again.

    Returns when that was, to be given as `since` the next time, which is faster then. Raises
    CalledProcessError where it does not start.
    """
    root = Path(server.host)
    _control(server, "stop", "-m", "fast")
    now = time.time()
    evict(root / "data", since)
    _control(server, "start", "-l", str(root / "log"))
    return now


def evict(directory: Path, since: float = 0.0) -> None:
    """Take all files below a directory out of the system's cache; other programs keep theirs.

    What was not changed since a time, in seconds since 1970, is taken to be on the disk.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for path in directory.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if path.stat().st_mtime >= since:
                    os.fsync(descriptor)  # what is not on the disk yet cannot be taken out
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _control(server: Server, action: str, *options: str) -> None:
    subprocess.run(
        [server.bindir / "pg_ctl", "-D", Path(server.host) / "data", "-w", *options, action],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=server.host,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        start_new_session=True,  # Ctrl-C is for the benchmark, not for the server
        **as_account(unprivileged_account()),
    )
