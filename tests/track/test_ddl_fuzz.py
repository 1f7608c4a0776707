"""Random DDL between random writes: each write is logged right, or fails and says a way out."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from tests.conftest import CreateRole, _new_database
from tests.support.ddl_drawn import steps
from tests.support.ddl_fuzz import WAYS, Fault, Run, Step
from tests.support.servers import Server

pytestmark = pytest.mark.slow

# The same steps every time; with AUDITDB_FUZZ_SECONDS as long as it says in all, one seed after
# another from AUDITDB_FUZZ_SEED on.
SECONDS = float(os.environ.get("AUDITDB_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("AUDITDB_FUZZ_SEED", "0"))
STEPS = 130 if SECONDS else 60
SHRINKING = 60.0
# When event triggers follow DDL.
FOLLOWED = ("always", "sometimes", "never")


@dataclass(frozen=True, slots=True)
class Here:
    """The databases of one fuzz, on a server of the tests."""

    server: Server
    template: str
    directory: Path
    until: ExitStack

    def url(self, database: str) -> str:
        return self.server.url(database)

    def databases(self) -> tuple[str, str]:
        """Return the names of a database with the log and of one without."""
        return (
            self.until.enter_context(_new_database(self.server, self.template)),
            self.until.enter_context(_new_database(self.server)),
        )

    def restored(self, database: str, way: str) -> str:
        name = self.until.enter_context(_new_database(self.server))
        file = str(self.directory / "dump")
        halves = ("--schema-only", "--data-only") if way == "halves" else ("",)
        sections = ("pre-data", "data", "post-data") if way == "sections" else ("",)
        for half in halves:
            form = "-Fp" if way == "text" else "-Fc"
            options = [half] * bool(half)
            self.server.run("pg_dump", form, "-f", file, *options, "-d", self._reached(database))
            if way == "text":
                quiet = ("-q", "-v", "ON_ERROR_STOP=1", "-f", file)
                self.server.run("psql", *quiet, "-d", self._reached(name))
                continue
            for section in sections:
                options = [f"--section={section}"] * bool(section)
                options += ["--data-only", "--disable-triggers"] * (half == "--data-only")
                into = ("--exit-on-error", *options, "-d", self._reached(name))
                self.server.run("pg_restore", *into, file)
        return name

    def _reached(self, database: str) -> str:
        s = self.server
        return conninfo.make_conninfo(host=s.host, port=s.port, user=s.user, dbname=database)


@pytest.fixture
def here(server: Server, engine_template: str, _roles: list[str], tmp_path: Path) -> Iterator[Here]:
    with ExitStack() as until:
        yield Here(server, engine_template, tmp_path, until)


def fault_of(here: Here, owner: str, script: list[Step]) -> str | None:
    """Run a script in databases of its own; return what the fault says, if there is one."""
    with ExitStack() as until:
        place = Here(here.server, here.template, here.directory, until)
        with Run(place, place.databases(), owner) as run:
            try:
                for step in script:
                    run.do(step)
                run.do(Step("rollback", 0, ""))
                run.look_over()
            except (Fault, psycopg.Error) as fault:
                return str(fault)
    return None


def shrunk(here: Here, owner: str, script: list[Step], said: str) -> list[Step]:
    """Leave out what the fault does not need, as far as the time goes."""
    until = time.monotonic() + SHRINKING
    size = max(1, len(script) // 2)
    while size:
        place = len(script) - 1 - size
        while place >= 0 and time.monotonic() < until:
            fewer = script[:place] + script[place + size :]
            try:
                is_faulty = (fault_of(here, owner, fewer) or "")[:20] == said[:20]
            except Exception:  # noqa: BLE001 (a script with a hole in it may mean nothing)
                is_faulty = False
            script = fewer if is_faulty else script
            place -= size
        size //= 2
    return script


def fuzz(here: Here, owner: str, seed: int, follows: str, ways: tuple[str, ...]) -> Run:
    """Run random steps; on a fault, say from which seed, and by which statements."""
    with ExitStack() as until:
        place = Here(here.server, here.template, here.directory, until)
        with Run(place, place.databases(), owner) as run:
            try:
                for number, step in enumerate(steps(run, seed, follows=follows, restores=ways)):
                    run.do(step)
                    if number % 30 == 29 and run.saved is None:
                        run.look_over()
                    if number == STEPS // 2:
                        run.do(Step("restore", 0, ways[(seed + FOLLOWED.index(follows)) % 4]))
                    if number >= STEPS:
                        break
                run.do(Step("rollback", 0, ""))
                run.look_over()
            except (Fault, psycopg.Error) as fault:
                script, said = list(run.done), str(fault)
            else:
                return run
    script = shrunk(here, owner, script, said)
    lines = "\n".join(map(str, script))
    after = fault_of(here, owner, script)
    pytest.fail(f"seed {seed}, followed {follows}: {after}\n\n{lines}\n\nat first: {said}")


@pytest.mark.parametrize("follows", FOLLOWED)
def test_whatever_ddl_comes_a_write_is_logged_right_or_fails(
    here: Here, create_role: CreateRole, follows: str
) -> None:
    owner = create_role("nologin")
    counts = fuzz(here, owner, SEED, follows, WAYS).counts
    assert counts["rows of the log"] > 20
    until = time.monotonic() + SECONDS / len(FOLLOWED)
    seed = SEED
    while time.monotonic() < until:
        seed += 1
        counts += fuzz(here, owner, seed, follows, WAYS).counts
    if SECONDS:
        print(f"\nseeds {SEED} to {seed}, followed {follows}: {dict(sorted(counts.items()))}")
