"""What the command line loads: a command pays for what it uses and for nothing else."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from auditdb._cli.app import app
from auditdb._cli.commands import COMMANDS, Commands
from tests.support.commands import auditdb, environment

# Whatever the modules in this set are for, few commands need it.
HEAVY = {"alembic", "mako", "rich", "sqlalchemy", "pyarrow", "zstandard"}
WRITERS = {
    f"auditdb._export.{name}"
    for name in ("exporting", "importing", "formats", "files", "manifest", "verify", "slices")
}
MIGRATIONS = {"alembic", "mako", "auditdb._upkeep.migrate"}


def loaded(tmp_path: Path, program: str) -> set[str]:
    """Return the modules that a Python program has loaded when it ends."""
    place = tmp_path / "modules.json"
    ends = f"atexit.register(lambda: open({str(place)!r}, 'w').write(json.dumps([*sys.modules])))"
    subprocess.run(
        [sys.executable, "-c", f"import atexit, json, sys; {ends}\n{program}"],
        check=True,
        capture_output=True,
        env=environment(),
        timeout=120,
    )
    return set(json.loads(place.read_text()))


def loaded_by(tmp_path: Path, *arguments: str) -> set[str]:
    """Return the modules that a command loads, beyond those of `import auditdb`."""
    program = f"sys.argv[1:] = {arguments!r}; from auditdb._cli.app import main; main()"
    return loaded(tmp_path, program) - loaded(tmp_path, "import auditdb")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_is_about_no_command_loads_none(tmp_path: Path, option: str) -> None:
    found = loaded_by(tmp_path, option)
    assert "typer" in found
    assert {name for name in found if name.startswith("auditdb")} == {
        "auditdb._cli",
        "auditdb._cli.app",
        "auditdb._cli.commands",
    }
    assert found & (HEAVY | {"psycopg"}) == set()


def test_help_of_a_command_loads_that_command(tmp_path: Path) -> None:
    found = loaded_by(tmp_path, "log", "--help")
    commands = {f"auditdb._cli.{listed.place.partition(':')[0]}" for listed in COMMANDS.values()}
    assert found & commands == {"auditdb._cli.log"}
    assert found & (HEAVY | WRITERS | MIGRATIONS) == set()
    assert not [name for name in found if name.startswith("auditdb._demo")]


def test_reading_the_log_loads_no_writer_and_no_migration(tmp_path: Path, database: str) -> None:
    for form in ("--json", "--text"):
        found = loaded_by(tmp_path, "log", "--url", database, "--limit", "1", form)
        assert found & (WRITERS | MIGRATIONS | {"sqlalchemy"}) == set()
        assert not [name for name in found if name.startswith("auditdb._demo")]
        # What draws tables is for those who look at one.
        assert ("rich" in found) == (form == "--text")


def test_a_check_of_a_log_that_is_well_loads_nothing_to_draw_with(
    tmp_path: Path, engine_database: str
) -> None:
    found = loaded_by(tmp_path, "check", "--url", engine_database)
    assert "auditdb._cli.check" in found
    assert found & (HEAVY | MIGRATIONS) == set()
    assert not [name for name in found if re.match(r"auditdb\._(demo|export)", name)]


def test_where_a_database_stands_takes_migrations_and_nothing_to_draw_with(
    tmp_path: Path, engine_database: str
) -> None:
    found = loaded_by(tmp_path, "current", "--url", engine_database)
    assert found >= MIGRATIONS
    assert found & (WRITERS | {"rich"}) == set()
    assert not [name for name in found if re.match(r"auditdb\._(demo|export)", name)]


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, Commands)
    assert list(group.commands) == list(COMMANDS)
    for name, command in group.commands.items():
        first, _, _ = (command.help or "").partition("\n")
        assert COMMANDS[name].summary == first, name
        assert command.name == name


def test_a_misspelt_command_is_told_which_are_near() -> None:
    ran = auditdb("chekc")
    assert ran.returncode == 2
    assert "'check'" in ran.stderr
