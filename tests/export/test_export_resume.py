"""An export that was killed goes on where it stopped, and ends with the same bytes."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess as Exporting
from pathlib import Path

import psycopg
import pytest

from auditdb._cli.app import app
from tests.conftest import _new_database
from tests.support.commands import auditdb, environment
from tests.support.effort import sized
from tests.support.exports import data, export, fill, manifest
from tests.support.servers import Server

pytestmark = pytest.mark.slow

OPEN = ("--since", "2025-01-01", "--action", "license_updated")
RANGE = (*OPEN, "--until", "2026-10-01")
KILLS = sized(8, 40)
FORMS = [
    ("--format", "jsonl", "--compress", "zstd"),
    ("--format", "csv"),
    ("--format", "csv", "--compress", "gzip", "--per-partition"),
    ("--format", "parquet", "--compress", "zstd"),
]


# Forked from a process that has imported all it needs: starting Python takes longer than exporting.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["auditdb._cli.export", "pyarrow.parquet", "zstandard", __name__])


def run(arguments: list[str]) -> None:
    """Be the program `auditdb` with `arguments`, in silence."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    app(arguments, prog_name="auditdb")


def begin(url: str, place: Path, *options: str) -> Exporting:
    process = FORKED.Process(
        target=run, args=(["export", str(place), "--url", url, *RANGE, *options],)
    )
    process.start()
    return process


def wait_for(process: Exporting, path: Path) -> None:
    """Wait until the export has set out, or is over."""
    while process.is_alive() and not path.exists():
        time.sleep(0.001)


@pytest.fixture
def long_log(database: str) -> str:
    """The URL of a database with rows in eight months: as many slices."""
    fill(database, 16_000, "20 minutes")
    return database


def test_killed_at_any_moment_it_ends_with_the_same_bytes(long_log: str, tmp_path: Path) -> None:
    chance = random.Random(os.urandom(8))
    undisturbed: dict[tuple[str, ...], tuple[dict[str, bytes], float]] = {}
    for number, options in enumerate(FORMS):
        place = tmp_path / f"whole{number}"
        process = begin(long_log, place, *options)
        wait_for(process, place / "export.json")
        began = time.monotonic()
        process.join()
        assert process.exitcode == 0
        undisturbed[options] = data(place), time.monotonic() - began
    killed = went_on = 0
    for number in range(KILLS):
        options = FORMS[number % len(FORMS)]
        whole, seconds = undisturbed[options]
        place = tmp_path / f"killed{number}"
        process = begin(long_log, place, *options)
        wait_for(process, place / "export.json")
        time.sleep(chance.uniform(0, seconds))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL and (place / "export.json").exists():
            killed += 1
            went_on += bool((place / "export.journal").exists())
        if not (place / "manifest.json").exists() or (place / "export.json").exists():
            export(long_log, place, *RANGE, *options)
        assert data(place) == whole, f"killed as number {number}, {options}"
    assert killed >= KILLS // 4, "hardly any export was killed in time"
    assert went_on > 0, "no export had written anything when it was killed"


# -- crashes at chosen places ----------------------------------------------------------------


@pytest.fixture(scope="module")
def slices(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with few rows in as many slices, which tests only read."""
    with _new_database(server, template) as name:
        url = server.url(name)
        fill(url, 2000, "160 minutes")
        yield url


@pytest.fixture(scope="module")
def wholes(
    slices: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], dict[str, bytes]]:
    """The files of undisturbed exports, by their options."""
    found = {}
    for options in FORMS:
        place = tmp_path_factory.mktemp("whole") / "out"
        export(slices, place, *RANGE, *options)
        found[options] = data(place)
    return found


class Crashed(BaseException):
    """Stands for the process that is no more."""


@pytest.mark.parametrize("options", FORMS, ids=" ".join)
@pytest.mark.parametrize(
    "place",
    [
        "job",
        "slice 1",
        "slice 3",
        "done 1",
        "publish 2",
        "record",
        "recorded",
        "manifest 2",
        "state",
    ],
)
def test_crashed_anywhere_it_goes_on(
    slices: str,
    wholes: dict[tuple[str, ...], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    options: tuple[str, ...],
) -> None:
    from auditdb._export import export_job, export_source, files, state_file

    what, _, count = place.partition(" ")
    target, name = {
        "job": (export_job, "save"),
        "slice": (export_job.Journal, "note_slice"),
        "done": (export_job.Journal, "note_done"),
        "publish": (files, "publish"),
        "record": (export_source.Source, "record"),
        "recorded": (export_job.Journal, "note_recorded"),
        "manifest": (files, "write_json"),
        "state": (state_file, "replace"),
    }[what]
    original = getattr(target, name)
    calls = 0

    def crash_after(*args: object, **named: object) -> object:
        nonlocal calls
        result = original(*args, **named)
        calls += 1
        if calls >= int(count or 1):
            raise Crashed
        return result

    given = (*OPEN, *options, "--since-last", str(tmp_path / "state"))
    monkeypatch.setattr(target, name, crash_after)
    try:
        auditdb("export", str(tmp_path / "out"), "--url", slices, *given)
    except Crashed:
        crashed = True
    else:
        crashed = False
    monkeypatch.undo()
    # Parquet has no slices to crash after.
    assert crashed or (what == "slice" and "parquet" in options)
    if crashed:
        export(slices, tmp_path / "out", *given)
    assert data(tmp_path / "out") == wholes[options]
    assert manifest(tmp_path / "out")["rows"] == 2000
    assert (tmp_path / "state").exists()


KILLED = """
import os, signal, sys
from auditdb._export import export_source, files, manifest, state_file
from auditdb._cli.app import main

def killed_after(target, name, is_it=lambda *args: True):
    original = getattr(target, name)
    def call(*args, **named):
        result = original(*args, **named)
        if is_it(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(target, name, call)

match sys.argv.pop(1):
    case "renamed":
        killed_after(files, "publish", lambda path: path.name.startswith("log"))
    case "recorded":
        killed_after(export_source.Source, "record")
    case "manifest written":
        killed_after(files, "write_json", lambda path, _: path.name == manifest.NAME)
    case "state moved on":
        killed_after(state_file, "replace")
main()
"""


@pytest.mark.parametrize("place", ["renamed", "recorded", "manifest written", "state moved on"])
def test_killed_at_the_end_it_goes_on(
    slices: str, wholes: dict[tuple[str, ...], dict[str, bytes]], tmp_path: Path, place: str
) -> None:
    options = FORMS[0]
    given = (*OPEN, *options, "--since-last", str(tmp_path / "state"))
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, place, "export", tmp_path / "out", "--url", slices, *given],
        env=environment(),
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL
    assert auditdb("verify", str(tmp_path / "out")).returncode == 1
    export(slices, tmp_path / "out", *given)
    assert data(tmp_path / "out") == wholes[options]
    assert auditdb("verify", str(tmp_path / "out")).returncode == 0
    assert (tmp_path / "state").exists()


def crash_in_slice(monkeypatch: pytest.MonkeyPatch, url: str, place: Path) -> None:
    from auditdb._export import export_job

    original = export_job.Journal.note_slice
    calls = 0

    def crash(self: export_job.Journal, name: str, at: export_job.Reached) -> None:
        nonlocal calls
        original(self, name, at)
        calls += 1
        if calls == 3:
            raise Crashed

    monkeypatch.setattr(export_job.Journal, "note_slice", crash)
    with pytest.raises(Crashed):
        auditdb("export", str(place), "--url", url, *RANGE)
    monkeypatch.undo()


def test_what_was_written_past_the_journal_is_written_again(
    slices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(slices, tmp_path / "whole", *RANGE)
    crash_in_slice(monkeypatch, slices, tmp_path / "out")
    with (tmp_path / "out/log.csv.part").open("ab") as part:
        part.write(b"half a row")
    with (tmp_path / "out/export.journal").open("ab") as journal:
        journal.write(b'{"file": "log.csv", "sli')
    ran = export(slices, tmp_path / "out", *RANGE)
    assert "gone on with" in ran.stderr
    assert data(tmp_path / "out") == data(tmp_path / "whole")


def test_a_part_that_was_changed_is_not_gone_on_with(
    slices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_in_slice(monkeypatch, slices, tmp_path / "out")
    part = tmp_path / "out/log.csv.part"
    content = bytearray(part.read_bytes())
    content[200] ^= 1
    part.write_bytes(content)
    ran = auditdb("export", str(tmp_path / "out"), "--url", slices, *RANGE)
    assert ran.returncode == 1
    assert "not as it was written" in ran.stderr


def test_it_goes_on_only_with_what_it_was_asked_for(
    slices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_in_slice(monkeypatch, slices, tmp_path / "out")
    ran = auditdb(
        "export", str(tmp_path / "out"), "--url", slices, *RANGE, "--compress", "gzip",
        "--account", "1",
    )  # fmt: skip
    assert ran.returncode == 1
    assert "differs in --account, --compress" in ran.stderr
    export(slices, tmp_path / "out", *RANGE)


def test_it_does_not_go_on_after_an_import_or_a_restore(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, 2000, "160 minutes")
    crash_in_slice(monkeypatch, database, tmp_path / "out")
    with psycopg.connect(database) as connection:
        connection.execute("select audit.begin_era()")
    ran = auditdb("export", str(tmp_path / "out"), "--url", database, *RANGE)
    assert ran.returncode == 1
    assert "since the export began" in ran.stderr


def test_so_long_ago_is_what_it_was_when_the_export_began(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import export_job

    original = export_job.save

    def crash(*args: object) -> None:
        original(*args)  # type: ignore[arg-type]
        raise Crashed

    monkeypatch.setattr(export_job, "save", crash)
    options = ("--since", "1d", "--until", "0s")
    with pytest.raises(Crashed):
        auditdb("export", str(tmp_path / "out"), "--url", database, *options)
    monkeypatch.undo()
    begun = json.loads((tmp_path / "out/export.json").read_text())
    export(database, tmp_path / "out", *options)
    assert manifest(tmp_path / "out")["filters"] == begun["filters"]


def test_one_export_at_a_time_in_a_directory(database: str, tmp_path: Path) -> None:
    from auditdb._export import files

    (tmp_path / "out").mkdir()
    with files.locked(tmp_path / "out"):
        ran = auditdb("export", str(tmp_path / "out"), "--url", database)
    assert ran.returncode == 1
    assert "Another export" in ran.stderr
