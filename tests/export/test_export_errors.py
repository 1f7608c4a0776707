"""What people get wrong with exports, and what fails under them: a word, a code, nothing half."""

import gc
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from auditdb._upkeep import migrate
from tests.conftest import _new_database
from tests.support.commands import add, auditdb, environment
from tests.support.exports import RANGE, data, export, fill, last_event, rows
from tests.support.servers import Server, hand_over, unprivileged_account


@pytest.fixture(scope="module")
def log(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with 20,000 rows that tests only read."""
    with _new_database(server, template) as name:
        url = server.url(name)
        fill(url, 20_000)
        yield url


@pytest.fixture(scope="module")
def slices(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with few rows in as many slices as there are months."""
    with _new_database(server, template) as name:
        url = server.url(name)
        fill(url, 2000, "160 minutes")
        yield url


# -- wrong usage -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--format", "xlsx"], "'xlsx' is not one of csv, jsonl, parquet"),
        (["--compress", "rar"], "'rar' is not one of none, zstd, gzip"),
        (["--by", "system"], "has no id"),
        (["--item", "license"], "has no id"),
        (["--since", "yesterday"], "is no time"),
        (["--since", "2026-02-01", "--until", "2026-01-01"], "is after --until"),
        (["--columns", "id"], "No such option"),
        (["--spreadsheet", "--format", "jsonl"], "add --format csv"),
        (["--since-last", "state", "--until", "0s"], "would never come"),
        (["--since-last", "state", "--since", "7d"], "fixed time"),
        (["--since-last", "out/state"], "which holds the export alone"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = auditdb("export", "out", *options, AUDITDB_URL="postgresql://nobody@/x?host=/nowhere")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert named in " ".join(ran.stderr.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_one_stream_is_one_file() -> None:
    ran = auditdb("export", "-", "--per-partition", AUDITDB_URL="postgresql://nobody@/x")
    assert ran.returncode == 2
    assert "one stream is one file" in ran.stderr


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [
        ("pyarrow", ["--format", "parquet"], "auditdb[parquet]"),
        ("zstandard", ["--format", "jsonl", "--compress", "zstd"], "auditdb[zstd]"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, options: list[str], extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for target in (str(tmp_path / "out"), "-"):
        ran = auditdb("export", target, *options, AUDITDB_URL="postgresql://nobody@/x")
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"pip install '{extra}'" in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_not_utf_8_is_said_and_leaves_nothing(log: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "auditdb", "export", tmp_path / "out", "--since-last", b"\xff"],
        cwd=tmp_path,
        capture_output=True,
        env=environment(AUDITDB_URL=log),
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert b"not UTF-8" in ran.stderr
    assert b"Traceback" not in ran.stderr


# -- the reader of a pipe goes away ----------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [["--format", "csv"], ["--format", "jsonl", "--compress", "gzip"], ["--format", "parquet"]],
    ids=" ".join,
)
def test_a_reader_that_goes_away_ends_it_in_silence(
    database: str, tmp_path: Path, options: list[str]
) -> None:
    fill(database, 20_000)
    given = (*RANGE[:2], "--since-last", str(tmp_path / "state"))
    with subprocess.Popen(
        [sys.executable, "-m", "auditdb", "export", "-", *given, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(AUDITDB_URL=database),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141
    assert not (tmp_path / "state").exists()
    assert last_event(database)["action"] != "log_exported"


def test_a_stdout_that_is_full_is_said(log: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "auditdb", "export", "-", *RANGE],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(AUDITDB_URL=log),
            check=False,
        )
    assert ran.returncode == 1
    assert "stdout: No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr


# -- the disk --------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_full_disk_is_said_and_the_export_goes_on_when_there_is_room(
    log: str, small: Path, tmp_path: Path, form: str
) -> None:
    options = (*RANGE, "--format", form)
    export(log, tmp_path / "whole", *options)
    filler = small / "filler"
    filler.write_bytes(bytes(700_000))
    (small / "out").mkdir()
    ran = auditdb("export", str(small / "out"), "--url", log, *options)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "No space left on device" in ran.stderr
    assert "goes on where it stopped" in ran.stderr
    assert not (small / "out/manifest.json").exists()
    assert auditdb("verify", str(small / "out")).returncode == 1
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
    export(log, small / "out", *options)
    assert data(small / "out") == data(tmp_path / "whole")


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Be nobody special for the length of a with block; give a directory to enter."""
    account = unprivileged_account()
    place = Path(tempfile.mkdtemp(prefix="auditdb-", dir="/tmp"))
    place.chmod(0o755)
    hand_over(place, account)
    if account is not None:
        os.setegid(account.pw_gid)
        os.seteuid(account.pw_uid)
    try:
        yield place
    finally:
        if account is not None:
            os.seteuid(0)
            os.setegid(0)
        shutil.rmtree(place)


def test_no_right_to_a_place_is_said(log: str) -> None:
    with unprivileged() as place:
        (place / "mine").mkdir(mode=0o500)
        for target in (place / "mine", place / "mine/out"):
            ran = auditdb("export", str(target), "--url", log, *RANGE)
            assert ran.returncode == 1
            assert "Permission denied" in ran.stderr
        ran = auditdb(
            "export", "-", "--url", log, "--account", "none", "--since-last", str(place / "mine/a")
        )
        assert ran.returncode == 1
        assert "Permission denied" in ran.stderr


@pytest.mark.parametrize("umask", [0, 0o777], ids=oct)
def test_files_are_for_their_owner_whatever_the_umask(log: str, tmp_path: Path, umask: int) -> None:
    out, state = tmp_path / "out", tmp_path / "state"
    subprocess.run(
        [sys.executable, "-m", "auditdb", "export", out, "--since-last", state],
        env=environment(AUDITDB_URL=log),
        stderr=subprocess.DEVNULL,
        umask=umask,
        check=True,
    )
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (*out.iterdir(), state)}
    assert modes == dict.fromkeys([out / "log.csv", out / "manifest.json", state], 0o600)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


def test_every_name_is_given_to_what_is_on_the_disk_and_the_manifest_comes_last(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, int] = {}
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        fsync(descriptor)
        status = os.fstat(descriptor)
        synced[status.st_ino] = status.st_size
        if stat.S_ISDIR(status.st_mode):
            events.append("directory")

    def spy_replace(path: Path, target: Path) -> Path:
        status = path.stat()
        assert path.name == target.name + ".part"
        assert synced.get(status.st_ino) == status.st_size, f"{path} is not on the disk"
        events.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    export(log, tmp_path / "out", *RANGE[:2], "--since-last", str(tmp_path / "state"))
    names = ["export.json", "log.csv", "manifest.json", "state"]
    assert [event for event in events if event != "directory"] == names
    for name in names:
        assert events[events.index(name) + 1] == "directory", f"{name} may be lost in a crash"


# -- the server ------------------------------------------------------------------------------


def lose_the_server(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Have the server end the session of an export after its third slice."""
    from auditdb._export import export_source

    write = export_source.Source.write
    calls = 0

    def write_then_end(self: Any, *args: Any) -> Any:
        nonlocal calls
        reached = write(self, *args)
        calls += 1
        if calls == 3:
            with psycopg.connect(url) as connection:
                own = self.connection.info.backend_pid
                connection.execute("select pg_terminate_backend(%s, 10000)", [own])
        return reached

    monkeypatch.setattr(export_source.Source, "write", write_then_end)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_server_that_goes_away_is_said_and_the_export_goes_on(
    slices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    options = (*RANGE, "--format", form)
    export(slices, tmp_path / "whole", *options)
    lose_the_server(monkeypatch, slices)
    ran = auditdb("export", str(tmp_path / "out"), "--url", slices, *options)
    # What is left over of the writer must not complain when it goes.
    gc.collect()
    assert ran.returncode == 1
    assert "connection to the database was lost" in ran.stderr
    assert "goes on where it stopped" in ran.stderr
    assert not (tmp_path / "out/manifest.json").exists()
    monkeypatch.undo()
    export(slices, tmp_path / "out", *options)
    assert data(tmp_path / "out") == data(tmp_path / "whole")


def test_a_stream_that_loses_its_server_leaves_the_state_alone(
    slices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_server(monkeypatch, slices)
    state = tmp_path / "state"
    ran = auditdb("export", "-", "--url", slices, "--since-last", str(state))
    assert ran.returncode == 1
    assert "Export again." in ran.stderr
    assert not state.exists()


def test_no_server_is_said_and_leaves_nothing_but_the_directory(tmp_path: Path) -> None:
    ran = auditdb("export", str(tmp_path / "out"), "--url", "postgresql://a@/b?host=/nowhere")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Cannot connect" in ran.stderr
    assert not list((tmp_path / "out").iterdir())


def test_an_interrupt_ends_it_in_silence_and_it_goes_on(
    slices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import export_job

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    export(slices, tmp_path / "whole", *RANGE)
    monkeypatch.setattr(export_job.Journal, "note_done", interrupted)
    ran = auditdb("export", str(tmp_path / "out"), "--url", slices, *RANGE)
    assert (ran.returncode, ran.stderr) == (130, "")
    monkeypatch.undo()
    export(slices, tmp_path / "out", *RANGE)
    assert data(tmp_path / "out") == data(tmp_path / "whole")


# -- the encoding of the database ------------------------------------------------------------


@pytest.fixture
def encoded(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database in another encoding than UTF-8."""
    name = f"auditdb_{request.param.lower()}_{os.getpid()}"
    encoding: dict[str, LiteralString] = {
        "LATIN1": "create database {} template template0 encoding 'LATIN1' locale 'C'",
        "SQL_ASCII": "create database {} template template0 encoding 'SQL_ASCII' locale 'C'",
    }
    server.execute(encoding[request.param], name)
    try:
        migrate.upgrade(server.url(name), "audit@head")
        yield server.url(name)
    finally:
        server.execute("drop database {} with (force)", name)


@pytest.mark.parametrize("encoded", ["LATIN1", "SQL_ASCII"], indirect=True)
def test_whatever_the_database_is_encoded_in_files_are_utf_8(encoded: str, tmp_path: Path) -> None:
    add(encoded, item_label="=Zoë")
    for form, *options in (["csv"], ["csv", "--spreadsheet"], ["jsonl"], ["parquet"]):
        place = tmp_path / f"{form}{len(options)}"
        export(encoded, place, *RANGE, "--format", form, *options)
        if form == "parquet":
            from pyarrow import parquet as pq

            assert pq.read_table(place / "log.parquet")["item_label"].to_pylist() == ["=Zoë"]
        else:
            assert (place / f"log.{form}").read_bytes().count("=Zoë".encode()) == 1
        assert len(list(rows(place))) == 1


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_text_that_is_not_utf_8_is_said(encoded: str, tmp_path: Path) -> None:
    with psycopg.connect(encoded, client_encoding="latin1") as connection:
        connection.execute(
            "insert into audit.log (occurred_at, account_id, action, item_type, item_id,"
            " actor_type, actor_id, db_role, item_label)"
            " values ('2026-03-01Z', convert_from('\\xe9', 'SQL_ASCII'), 'a', 'a', '1', 'a', '1',"
            " 'a', '')"
        )
    for form in ("csv", "jsonl", "parquet"):
        ran = auditdb("export", str(tmp_path / form), "--url", encoded, *RANGE, "--format", form)
        assert ran.returncode == 1
        assert 'invalid byte sequence for encoding "UTF8"' in ran.stderr
        assert not (tmp_path / form / "manifest.json").exists()
