"""Measures exports by format, beside psql's own COPY: rows a second, memory, bytes a row."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import filling
from benchmarks.readers import size
from benchmarks.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.servers import Server

SIZES = (500_000,)
FULL = (1_000_000, 10_000_000)
FORMS = (
    ("csv", "none"),
    ("csv", "zstd"),
    ("jsonl", "none"),
    ("jsonl", "gzip"),
    ("jsonl", "zstd"),
    ("parquet", "zstd"),
)
VERIFIED = {("csv", "none"), ("jsonl", "none"), ("parquet", "zstd")}
PSQL = "psql \\copy to CSV"
IMPORTED = ("jsonl", "none")
IMPORT_DATABASE = "auditdb_benchmark_import"

# The peak is read inside: what the system tells of a child holds the memory of its parent too.
_MEASURED = """
import re, resource, sys
from pathlib import Path
from auditdb._cli.app import app
try:
    app(sys.argv[1:], prog_name="auditdb")
finally:
    status = Path("/proc/self/status")
    used = resource.getrusage(resource.RUSAGE_SELF)
    if status.exists():
        peak = int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1])
    else:
        peak = used.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    print("measured", peak, used.ru_utime + used.ru_stime, file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command took."""

    seconds: float
    peak: float
    """The most memory, in MB."""
    cpu: float
    """Seconds of CPU of the command itself, without the server's."""


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    sizes: Sequence[int] | None = None,
) -> list[Result]:
    """Export, verify and import logs of some sizes; the ends of a larger log that is there serve.

    Other versions than the newest export a fifth of the smallest size, unless `full`.
    """
    if sizes is None:
        sizes = FULL if full else SIZES if server.version >= 18 else (SIZES[0] // 5,)
    results: list[Result] = []
    for rows in sizes:
        url = filling.filled(server, rows, progress)
        first, end = _range(url, rows)
        forms = FORMS if rows < FULL[-1] else tuple(form for form in FORMS if form in VERIFIED)
        with tempfile.TemporaryDirectory(prefix="auditdb-") as place:

            def found(case: str, metric: str, value: float, unit: str, rows: int = rows) -> Result:
                return Result("exports", server.version, case, size(rows), metric, value, unit)

            progress(f"exports, {size(rows)}: psql")
            copied, written, seconds = _psql(server, Path(place) / "psql.csv", first, end)
            results += [
                found(PSQL, "rows", copied, "rows"),
                found(PSQL, "rate", copied / seconds, "rows/s"),
                found(PSQL, "width", written / copied, "bytes/row"),
            ]
            for form, compress in forms:
                name = form if compress == "none" else f"{form} and {compress}"
                progress(f"exports, {size(rows)}: {name}")
                to = Path(place) / f"{form}-{compress}"
                options = ("--url", url, "--format", form, "--compress", compress)
                limits = ("--since", first.isoformat(), "--until", end.isoformat())
                ran = run("export", str(to), *options, *limits)
                manifest = json.loads((to / "manifest.json").read_text("utf-8"))
                written = sum(one["bytes"] for one in manifest["files"])
                results += [
                    *_rates(found, f"export {name}", manifest["rows"], ran),
                    found(f"export {name}", "width", written / manifest["rows"], "bytes/row"),
                ]
                if (form, compress) in VERIFIED:
                    ran = run("verify", str(to))
                    results += _rates(found, f"verify {name}", manifest["rows"], ran)
                if (form, compress) == IMPORTED and rows < FULL[-1]:
                    progress(f"exports, {size(rows)}: import")
                    with _import_database(server) as into:
                        ran = run("import", str(to), "--url", into)
                    results += _rates(found, f"import {name}", manifest["rows"], ran)
                _remove(to)
    return results


def run(*arguments: str) -> Ran:
    """Run a command of auditdb.

    Raises RuntimeError where it fails, with what it said.
    """
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    seconds = time.monotonic() - began
    measured = re.search(r"^measured (\d+) ([\d.]+)$", ran.stderr, re.MULTILINE)
    if ran.returncode or measured is None:
        raise RuntimeError(f"auditdb {' '.join(arguments)} failed:\n{ran.stderr}")
    return Ran(seconds, int(measured[1]) / 1024, float(measured[2]))


def _rates(
    found: Callable[[str, str, float, str], Result], case: str, rows: int, ran: Ran
) -> list[Result]:
    return [
        found(case, "rows", rows, "rows"),
        found(case, "rate", rows / ran.seconds, "rows/s"),
        found(case, "peak memory", ran.peak, "MB"),
        found(case, "CPU of the client", ran.cpu / rows * 1e6, "µs/row"),
    ]


def _psql(server: Server, to: Path, first: datetime, end: datetime) -> tuple[int, int, float]:
    """Copy the same rows in the same order with psql; return rows, bytes and seconds."""
    query = (
        f"select * from audit.events where occurred_at >= '{first.isoformat()}'"
        f" and occurred_at < '{end.isoformat()}' order by occurred_at, id, account_id"
    )
    began = time.monotonic()
    ran = server.run(
        "psql",
        *("-X", "-v", "ON_ERROR_STOP=1", "-d", filling.DATABASE),
        *("-c", "set statement_timeout = 0", "-c", f"\\copy ({query}) to '{to}' with (format csv)"),
        timeout=7200,
    )
    seconds = time.monotonic() - began
    written = to.stat().st_size
    to.unlink()
    return int(ran.stdout.split()[-1]), written, seconds


@contextmanager
def _import_database(server: Server) -> Iterator[str]:
    """Give the URL of a database with an empty log of ten years."""
    filling.create(server, IMPORT_DATABASE)
    try:
        yield server.url(IMPORT_DATABASE)
    finally:
        server.execute("drop database {} with (force)", IMPORT_DATABASE)


def _range(url: str, rows: int) -> tuple[datetime, datetime]:
    """Return the time from the beginning of the log in which about so many rows are."""
    ends = "min(occurred_at), max(occurred_at) + interval '1 second'"
    with closing(filling.connect(url)) as connection:
        row = connection.execute(
            f"select {ends} from audit.log where account_id <> ''".encode()
        ).fetchone()
    first, end = row or (datetime.now(UTC), datetime.now(UTC))
    return first, first + (end - first) * (rows / max(rows, filling.count(url)))


def _remove(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
