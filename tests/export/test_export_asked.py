"""What a resumed export is held to: every option of the command, taken from the command itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
import typer.core
import typer.main
from typer.testing import CliRunner

from auditdb._cli.app import app
from auditdb._cli.export import FREE_TO_CHANGE, asked_of
from auditdb._export.export_request import differences
from tests.conftest import _new_database
from tests.support.commands import auditdb
from tests.support.exports import export, fill
from tests.support.servers import Server

BEGUN = ("--since", "2025-01-01", "--action", "license_updated")
OTHERWISE: dict[str, tuple[str, ...]] = {
    "--account": ("--account", "1"),
    "--item": ("--item", "license:1"),
    "--table": ("--table", "licensing.licenses"),
    "--action": ("--action", "license_created"),
    "--actor": ("--actor", "platform_user:1"),
    "--on-behalf-of": ("--on-behalf-of", "customer:1"),
    "--since": ("--since", "2025-02-01"),
    "--until": ("--until", "2026-06-01"),
    "--format": ("--format", "jsonl"),
    "--compress": ("--compress", "gzip"),
    "--per-partition": ("--per-partition",),
    "--spreadsheet": ("--spreadsheet",),
    "--since-last": ("--since-last", "state"),
}
"""Each option with another value than the export was begun with."""


class Crashed(BaseException):
    """Stands for the process that is no more."""


@pytest.fixture(scope="module")
def log(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with a few rows, which tests only read."""
    with _new_database(server, template) as name:
        url = server.url(name)
        fill(url, 20)
        yield url


@pytest.fixture
def begun(log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of an export that was broken off."""
    from auditdb._export import export_job

    original = export_job.save

    def crash(*args: Any) -> None:
        original(*args)
        raise Crashed

    with monkeypatch.context() as patch:
        patch.setattr(export_job, "save", crash)
        with pytest.raises(Crashed):
            auditdb("export", str(tmp_path / "out"), "--url", log, *BEGUN)
    return tmp_path / "out"


def options() -> set[str]:
    """Return the options that the command has."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    parameters = group.commands["export"].params
    return {one.opts[0] for one in parameters if isinstance(one, typer.core.TyperOption)}


def test_every_option_is_tried_or_free_to_change() -> None:
    assert OTHERWISE.keys() | FREE_TO_CHANGE == options()
    assert OTHERWISE.keys() & FREE_TO_CHANGE == set()


@pytest.mark.parametrize("option", OTHERWISE)
def test_another_value_is_refused_by_its_name(log: str, begun: Path, option: str) -> None:
    given = dict(zip(BEGUN[::2], BEGUN[1::2], strict=True))
    given.pop(option, None)
    kept = [word for pair in given.items() for word in pair]
    ran = auditdb("export", str(begun), "--url", log, *kept, *OTHERWISE[option])
    assert ran.returncode == 1
    assert f"it differs in {option}.\n" in ran.stderr
    assert not (begun / "manifest.json").exists()


@pytest.mark.parametrize("option", [name for name in BEGUN if name.startswith("--")])
def test_an_option_that_is_left_out_is_refused_by_its_name(
    log: str, begun: Path, option: str
) -> None:
    given = dict(zip(BEGUN[::2], BEGUN[1::2], strict=True))
    del given[option]
    kept = [word for pair in given.items() for word in pair]
    ran = auditdb("export", str(begun), "--url", log, *kept)
    assert ran.returncode == 1
    assert f"it differs in {option}.\n" in ran.stderr


def test_where_and_by_whom_may_change(log: str, begun: Path) -> None:
    export(log, begun, *BEGUN, "--by", "system:backup", "--format", "csv")
    assert (begun / "manifest.json").exists()


def test_an_option_that_a_command_gets_is_asked_without_being_listed() -> None:
    asked: list[dict[str, Any]] = []
    command = typer.Typer()

    @command.command()
    def _(
        context: typer.Context,
        shade: Annotated[int, typer.Option()] = 7,
        colour: Annotated[list[str] | None, typer.Option("--colour", "-c")] = None,
        by: Annotated[str | None, typer.Option()] = None,
    ) -> None:
        asked.append(asked_of(context))

    for arguments in ([], ["--shade", "7"], ["--shade", "0", "-c", "b", "-c", "a", "--by", "x"]):
        assert CliRunner().invoke(command, arguments).exit_code == 0
    assert asked == [{"--shade": 7}, {"--shade": 7}, {"--shade": 0, "--colour": ["a", "b"]}]
    assert differences(asked[0], asked[2]) == ["--colour", "--shade"]


def test_an_export_of_another_format_version_is_not_resumed(log: str, begun: Path) -> None:
    path = begun / "export.json"
    job = json.loads(path.read_text())
    path.write_text(json.dumps(job | {"format": 0}))
    ran = auditdb("export", str(begun), "--url", log, *BEGUN)
    assert ran.returncode == 1
    assert "another version of auditdb" in ran.stderr
