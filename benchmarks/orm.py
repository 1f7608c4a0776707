"""Measures programs that write objects through SQLAlchemy's ORM, where some peers listen."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import databases
from benchmarks.backend import Watched
from benchmarks.cases import CASES
from benchmarks.effort import effort as default_effort
from benchmarks.systems import OURS, System
from benchmarks.turns import Turns, rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from tests.support.servers import Server


def _python(package: str) -> Callable[[str, str], str | None]:
    """Return the set-up of a peer that sets itself up in the program that uses it."""

    def install(url: str, workload: str) -> str | None:  # noqa: ARG001
        missing = importlib.util.find_spec(package) is None
        return f"the package {package} is not installed" if missing else None

    return install


SYSTEMS = (
    *OURS,
    System("sqlalchemy-continuum", _python("sqlalchemy_continuum")),
    System("sqlalchemy-continuum, native", _python("sqlalchemy_continuum")),
    System("sqlalchemy-audit-trail", _python("audit_trail")),
)


@dataclass(frozen=True, slots=True)
class Program:
    """A process that writes objects."""

    system: System
    process: subprocess.Popen[str]
    session: Watched
    """A second session, that looks at what the first one wrote."""

    def ask(self, *words: object) -> Any:
        """Send a line, return the answer.

        Raises:
            RuntimeError: if the process has ended.
        """
        sent, received = self._pipes()
        sent.write("\t".join(map(str, words)) + "\n")
        sent.flush()
        return json.loads(self._line(received))

    def is_ready(self) -> bool:
        """Wait until it is set up; False if its set-up failed."""
        return self._pipes()[1].readline() == "ready\n"

    def _line(self, received: IO[str]) -> str:
        line = received.readline()
        if not line:
            raise RuntimeError(f"the program that uses {self.system.name} ended")
        return line

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        sent, received = self.process.stdin, self.process.stdout
        if sent is None or received is None:
            raise RuntimeError("the process has no pipes")
        return sent, received


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    systems: Sequence[System] = SYSTEMS,
    effort: Effort | None = None,
) -> list[Result]:
    """Measure a transaction that writes one object: CPU of backend and client, statements, log."""
    effort = effort or default_effort(server.version, full=full)
    workload = databases.licenses(server)
    ready = databases.install(server, workload, systems, progress)
    turns = Turns("orm", server.version)
    with ExitStack() as stack:
        programs = []
        for system in ready:
            url = server.url(databases.database_of(workload, system))
            session = stack.enter_context(closing(Watched(url, workload.written)))
            command = [sys.executable, "-m", "benchmarks.peers.objects", url, system.name]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            program = Program(system, stack.enter_context(process), session)
            if program.is_ready():
                programs.append(program)
            else:
                progress(f"{system.name} is left out: its set-up failed, see above")
        for turn in range(effort.object_rounds + 1):
            _turn(programs, effort.objects, turn, turns)
            progress(f"objects: round {turn} of {effort.object_rounds}")
    return turns.results()


def _turn(programs: Sequence[Program], objects: int, turn: int, turns: Turns) -> None:
    """Let each program write; what the first turn measures does not count."""
    for case in CASES:
        for program in rotated(programs, max(turn - 1, 0)):
            answer: dict[str, float] = {}

            def work(program: Program = program, answer: dict[str, float] = answer) -> None:
                answer |= program.ask(case.title, turn * objects, objects)  # noqa: B023

            cost = program.session.cost(work)
            if turn == 0:
                continue
            name = program.system.name
            turns.add(case.title, name, "cpu", answer["backend"] / objects, "µs")
            turns.add(case.title, name, "client cpu", answer["client"] / objects, "µs")
            turns.add(case.title, name, "statements", answer["statements"] / objects, "")
            turns.add(case.title, name, "wal", cost.wal / objects, "bytes")
            turns.add(case.title, name, "log", cost.log / objects, "bytes")
    for program in programs:
        program.session.connection.execute("vacuum licensing.licenses")
