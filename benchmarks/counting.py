"""Counts the instructions of a backend for each statement of one row, which no load can blur."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import databases
from benchmarks.cases import CASES
from tests.support.servers import as_account, hand_over, socket_parent, unprivileged_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.databases import Workload
    from benchmarks.systems import System
    from benchmarks.turns import Turns
    from tests.support.servers import Server

# Callgrind writes down what it counted, and starts from zero, whenever a backend comes here.
MARK = "pg_sleep"
"""A function whose call ends a count: a script calls it between its parts."""
WARM = 20
"""Statements before those that are counted."""


def has_valgrind() -> bool:
    """Return whether instructions can be counted on this machine."""
    return shutil.which("valgrind") is not None


def count_all(
    server: Server,
    workload: Workload,
    systems: Sequence[System],
    statements: int,
    turns: Turns,
    progress: Callable[[str], None],
) -> None:
    """Count each case on each system, with a backend alone while the server is stopped."""
    with stopped(server):
        for number, system in enumerate(systems, 1):
            database = databases.database_of(workload, system)
            counted = between_marks(server, database, script(system, statements))
            for case, instructions in zip(CASES, counted[1::2], strict=True):
                value = instructions / statements / 1000
                turns.add(case.title, system.name, "instructions", value, "thousand")
            progress(f"instructions: {number} of {len(systems)} ({system.name})")


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Stop the server for the length of a with block: its directory serves one backend alone."""
    stop(server)
    try:
        yield
    finally:
        data, log = Path(server.host) / "data", Path(server.host) / "log"
        subprocess.run(
            [server.bindir / "pg_ctl", "-D", data, "-l", log, "-w", "start"],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=server.host,
            **as_account(unprivileged_account()),
        )


def script(system: System, statements: int) -> list[str]:
    """Return lines for a backend: each case a few times, a mark, and as often as it counts."""
    lines = []
    first = 5_000_000
    for case in CASES:
        parts = (range(first, first + WARM), range(first + WARM, first + WARM + statements))
        for numbers in parts:
            lines += ["begin", *system.actor, *map(case.literal, numbers), "commit"]
            lines.append(f"select {MARK}(0)")
    return lines


def stop(server: Server) -> None:
    """Stop the server: a data directory serves one backend alone or a server, not both."""
    subprocess.run(
        [server.bindir / "pg_ctl", "-D", Path(server.host) / "data", "-w", "-m", "fast", "stop"],
        check=True,
        capture_output=True,
        cwd=server.host,
        **as_account(unprivileged_account()),
    )


def between_marks(server: Server, database: str, lines: Sequence[str]) -> list[int]:
    """Return the instructions from mark to mark of a backend alone; the server is stopped.

    Raises:
        RuntimeError: if a statement fails.
    """
    account = unprivileged_account()
    with tempfile.TemporaryDirectory(dir=socket_parent(account)) as directory:
        hand_over(Path(directory), account)
        answer = subprocess.run(
            [
                "valgrind", "--tool=callgrind", f"--dump-before={MARK}",
                f"--callgrind-out-file={directory}/out",
                server.bindir / "postgres", "--single", "-D", Path(server.host) / "data",
                "-c", "log_min_messages=error", "-c", "statement_timeout=0",
                "-c", "autovacuum=off", database,
            ],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=False,
            cwd=server.host,
            **as_account(account),
        )  # fmt: skip
        if answer.returncode or re.search("ERROR|FATAL", answer.stderr):
            raise RuntimeError(f"the backend on {database} failed: {answer.stderr[-2000:]}")
        dumps = sorted(Path(directory).glob("out.*"), key=lambda path: int(path.suffix[1:]))
        return [_total(dump) for dump in dumps]


def _total(dump: Path) -> int:
    """Return the instructions of one of Callgrind's files."""
    found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{dump} has no total")
    return int(found[1])
