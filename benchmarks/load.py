"""Runs pgbench, and tells what its clients got done and what that took of the server's CPUs."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cases import Case
    from benchmarks.systems import System
    from tests.support.servers import Server

_VARIABLES = "\\set id random(1, 20000)\n\\set n random(1, 1000000000)\n"


_FIRST = 50
"""Transactions of each client that tell what its session costs before it is warm."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of pgbench gave."""

    rate: float
    """Transactions (runs of the script) a second."""
    cpu: float
    """CPU time of all backends for a run of the script in a warm session, in µs."""
    transactions: int
    """All that were committed."""


@dataclass(frozen=True, slots=True)
class _Run:
    rate: float
    cpu: float
    """Of all backends from their beginning to their end, in µs."""
    transactions: int


def load(
    server: Server, database: str, script: str | None, *, clients: int, transactions: int
) -> Load:
    """Run a script, or pgbench's own without one, so many times in all, with some clients.

    A short run before it is taken off: what new sessions cost, which have nothing in their caches.

    Raises:
        RuntimeError: if a transaction failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        chosen = ["-c", str(clients), "-j", str(min(clients, 2))]
        if script is not None:
            path = Path(directory) / "script.sql"
            path.write_text(script)
            chosen += ["-M", "prepared", "-f", str(path)]
        first = _run(server, database, [*chosen, "-t", str(_FIRST)])
        each = _FIRST + -(-transactions // clients)
        then = _run(server, database, [*chosen, "-t", str(each)])
    cpu = (then.cpu - first.cpu) / (then.transactions - first.transactions)
    return Load(then.rate, cpu, first.transactions + then.transactions)


def _run(server: Server, database: str, options: Sequence[str]) -> _Run:
    before, cpu = _children(server), ended(server)
    ran = server.run("pgbench", "-n", *options, database, timeout=300)
    _wait(server, before)
    found = re.search(r"actually processed: (\d+)", ran.stdout)
    rate = re.search(r"tps = ([\d.]+) \(without", ran.stdout)
    failed = re.search(r"failed transactions: (\d+)", ran.stdout)
    if not found or not rate or (failed and failed[1] != "0"):
        raise RuntimeError(f"pgbench on {database} failed: {ran.stdout}\n{ran.stderr[-2000:]}")
    return _Run(float(rate[1]), ended(server) - cpu, int(found[1]))


def ended(server: Server) -> float:
    """Return the CPU time in µs of all backends that have ended, which the postmaster knows."""
    fields = Path(f"/proc/{_postmaster(server)}/stat").read_text().rsplit(")", 1)[1].split()
    children = int(fields[13]) + int(fields[14])
    return children * 1_000_000 / os.sysconf("SC_CLK_TCK")


def _postmaster(server: Server) -> int:
    lines = (Path(server.host) / "data" / "postmaster.pid").read_text().splitlines()
    return int(lines[0])


def _children(server: Server) -> set[int]:
    parent, found = _postmaster(server), set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.add(int(path.parent.name))
    return found


def _wait(server: Server, before: set[int]) -> None:
    """Wait until the backends of a run are gone: only then does the postmaster know their time."""
    deadline = time.monotonic() + 30
    while _children(server) - before:
        if time.monotonic() > deadline:
            raise RuntimeError("the backends of pgbench's clients did not end within 30 s")
        time.sleep(0.01)


def script(system: System, cases: Sequence[Case]) -> str:
    """Return a script for pgbench: for each case a transaction with an actor, in one message."""
    transactions = (
        ("\\startpipeline", "begin;", *(f"{one};" for one in system.actor), f"{case.script};",
         "commit;", "\\endpipeline")
        for case in cases
    )  # fmt: skip
    return _VARIABLES + "".join("\n".join(lines) + "\n" for lines in transactions)


def with_clients(case: str, clients: int) -> str:
    """Return the name of a case that so many clients do at once."""
    return f"{case}, {clients} client{'s' * (clients > 1)}"
