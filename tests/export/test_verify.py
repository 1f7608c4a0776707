"""Verifying an export without a database: whatever was done to it is named."""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from auditdb._export import formats, reader, versions
from auditdb._export.formats import parquet
from tests.conftest import _new_database
from tests.support.commands import Ran, auditdb
from tests.support.exports import FORMS, data, export, fill, manifest, sha256
from tests.support.servers import Server

pytestmark = pytest.mark.quick

RANGE = ("--since", "2025-01-01", "--until", "2026-09-01")


def verify(place: Path) -> Ran:
    return auditdb("verify", str(place), AUDITDB_URL="postgresql://nobody@/nowhere?host=/nowhere")


@pytest.fixture(scope="module")
def log(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with six hundred rows, which tests only read."""
    with _new_database(server, template) as name:
        url = server.url(name)
        fill(url, 600)
        yield url


@pytest.fixture(scope="module")
def pristine(log: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export as JSON Lines of two hundred rows of account 1."""
    place = tmp_path_factory.mktemp("pristine") / "out"
    export(log, place, *RANGE, "--format", "jsonl", "--account", "1")
    return place


@pytest.fixture
def exported(pristine: Path, tmp_path: Path) -> Path:
    """A copy of that export, for the test alone."""
    return Path(shutil.copytree(pristine, tmp_path / "out"))


@pytest.mark.parametrize(("form", "compress"), FORMS)
def test_what_was_exported_is_intact(log: str, tmp_path: Path, form: str, compress: str) -> None:
    options = ("--format", form, "--compress", compress, "--per-partition")
    export(log, tmp_path / "out", *RANGE, *options)
    ran = verify(tmp_path / "out")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "rows in" in ran.stdout
    assert manifest(tmp_path / "out")["sha256"] in ran.stdout


@pytest.mark.parametrize(("form", "compress"), FORMS)
def test_a_changed_byte_a_missing_end_and_a_missing_file_are_named(
    log: str, tmp_path: Path, form: str, compress: str
) -> None:
    place = tmp_path / "out"
    export(log, place, *RANGE, "--format", form, "--compress", compress)
    ((name, content),) = data(place).items()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    for wrong in (bytes(changed), content[: len(content) // 2], content[:-1], content + b"\n", b""):
        (place / name).write_bytes(wrong)
        ran = verify(place)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"{name}: its sha256 is" in ran.stderr
    (place / name).unlink()
    ran = verify(place)
    assert (ran.returncode, ran.stderr) == (1, f"{name}: missing\n")


def rewritten(place: Path, change: Callable[[list[bytes]], list[bytes]]) -> Ran:
    """Change the rows and put size and hash in the manifest right, as who tampers would."""
    path = place / "log.jsonl"
    lines = change(path.read_bytes().splitlines(keepends=True))
    path.write_bytes(b"".join(lines))
    found = manifest(place)
    content = path.read_bytes()
    found["files"][0] |= {"bytes": len(content), "sha256": sha256(content)}
    found["sha256"] = sha256(f"{sha256(content)}  log.jsonl\n".encode())
    (place / "manifest.json").write_text(json.dumps(found))
    return verify(place)


def cell(name: str, found: str) -> Callable[[list[bytes]], list[bytes]]:
    """Return what makes a cell of the third row read otherwise."""

    def change(rows: list[bytes]) -> list[bytes]:
        line = rows[2].decode()
        begin = line.index(f'"{name}":') + len(f'"{name}":')
        _, end = json.JSONDecoder().raw_decode(line, begin)
        rows[2] = f"{line[:begin]}{found}{line[end:]}".encode()
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda rows: rows[:50] + rows[51:], "199 rows instead of 200"),
        (lambda rows: rows[1:], "its first row is not the one"),
        (lambda rows: rows[:-1], "its last row is not the one"),
        (lambda rows: [*rows[:50], rows[50], *rows[50:]], "row 52: not in order"),
        (lambda rows: [*rows[:50], rows[51], rows[50], *rows[52:]], "row 52: not in order"),
        (
            lambda rows: (
                [*rows[:9], rows[9].replace(b'"account_id":"1"', b'"account_id":"2"'), *rows[10:]]
            ),
            "row 10: of another account",
        ),
        (
            lambda rows: [rows[0].replace(b"2026-", b"2024-"), *rows[1:]],
            "row 1: outside the time range",
        ),
        (lambda rows: [*rows[:9], rows[9].replace(b'"tx":', b'"xt":'), *rows[10:]], "the columns"),
        (lambda rows: [*rows[:9], b"{}\n", *rows[9:]], "after row 9: the columns"),
        (lambda rows: [*rows[:9], b"not JSON\n", *rows[9:]], "after row 9"),
        (lambda rows: [*rows[:-1], rows[-1][:-1]], "cut off"),
        (cell("changes", "[1,2]"), "row 3: its changes is no object"),
        (cell("changes", '{"a":1}'), "row 3: its changes are no changes of columns"),
        (cell("changes", '{"a":{"x":1}}'), "row 3: its changes are no changes of columns"),
        (cell("changes", '{"a":{"redacted":"no"}}'), "row 3: its changes are no changes"),
        (cell("changes", '{"a":{"new":NaN}}'), "after row 2: NaN is no JSON"),
        (cell("context", '"x"'), "row 3: its context is no object"),
        (cell("actor_id", "null"), "row 3: it has no actor_id"),
        (cell("is_cascade", '"t"'), "row 3: its is_cascade is no boolean"),
        (cell("is_deleted", "null"), "row 3: it has no is_deleted"),
        (cell("item_label", r'"\u0000"'), "row 3: it has a text with U+0000"),
        (cell("context", r'{"a":["\ud800"]}'), "row 3: it has a text with half of a character"),
        (cell("id", '" 706"'), "after row 2: ' 706' is no number of a row"),
        (cell("id", '"9223372036854775808"'), "is no number of a row"),
        (cell("tx", '"007"'), "is no number of a row"),
        (cell("row_values", '"(1)"'), "row 3: it has row_values of no layout"),
        (cell("layout", "1"), "row 3: the manifest has no layout 1"),
    ],
)
def test_rows_that_were_changed_with_their_hash_are_named(
    exported: Path, change: Callable[[list[bytes]], list[bytes]], named: str
) -> None:
    ran = rewritten(exported, change)
    assert ran.returncode == 1
    assert named in ran.stderr


def set_in_manifest(key: str, wrong: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.update({key: wrong})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (set_in_manifest("rows", 5), "its files have not 5 rows together"),
        (set_in_manifest("sha256", "0" * 64), "its sha256 is not that of its files"),
        (set_in_manifest("format", 99), "has format 99"),
        (set_in_manifest("columns", []), "its columns are not those"),
        (set_in_manifest("files", [{"name": "x"}]), "is no manifest"),
        (set_in_manifest("data", "xlsx"), "no known format"),
        (lambda found: found.pop("order"), "is no manifest"),
        (lambda found: found["files"][0].update(rows="200"), "must be numbers"),
        (lambda found: found["files"][0].update(name="../log.jsonl"), "is no file of an export"),
        (lambda found: found["files"][0].update(name="/etc/passwd"), "is no file of an export"),
        (lambda found: found["files"].append(found["files"][0]), "names a file twice"),
        (lambda found: found["files"][0]["first"].update(id="9"), "its first row is not the one"),
        (lambda found: found["files"][0].update(last=None), "its last row is not the one"),
    ],
)
def test_a_manifest_that_was_changed_is_named(
    exported: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    found = manifest(exported)
    change(found)
    (exported / "manifest.json").write_text(json.dumps(found))
    ran = verify(exported)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert named in ran.stderr


def test_every_mismatch_is_named(log: str, tmp_path: Path) -> None:
    place = tmp_path / "out"
    export(log, place, *RANGE)
    with (place / "log.csv").open("ab") as added:
        added.write(b"x\n")
    (place / "stranger.txt").write_text("")
    ran = verify(place)
    assert "stranger.txt: not in the manifest" in ran.stderr
    assert "bytes instead of" in ran.stderr
    assert "its sha256 is" in ran.stderr
    assert "after row 600" in ran.stderr


def test_what_is_no_export_is_said_so(tmp_path: Path) -> None:
    assert "is no directory" in verify(tmp_path / "none").stderr
    (tmp_path / "empty").mkdir()
    ran = verify(tmp_path / "empty")
    assert ran.returncode == 1
    assert "not complete" in ran.stderr
    (tmp_path / "empty/manifest.json").write_text("{")
    assert "is no JSON" in verify(tmp_path / "empty").stderr


def test_a_broken_frame_of_compression_is_named(log: str, tmp_path: Path) -> None:
    place = tmp_path / "out"
    export(log, place, *RANGE, "--format", "jsonl", "--compress", "gzip")
    path = place / "log.jsonl.gz"
    lines = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(lines)[:-12])
    assert "what is compressed is broken" in verify(place).stderr


@pytest.mark.parametrize("name", ["id", "occurred_at", "tx", "account_id"])
def test_a_row_of_parquet_without_its_key_is_malformed(tmp_path: Path, name: str) -> None:
    schema = parquet.schema(versions.CURRENT)
    cells = {field.name: [None if field.name == name else 1] for field in schema}
    cells |= {n: ["x"] for n in cells if n != name and schema.field(n).type == pyarrow.string()}
    cells |= {"is_cascade": [True], "is_deleted": [True]}
    path = tmp_path / "log.parquet"
    pyarrow.parquet.write_table(pyarrow.table(cells, schema=schema), path)
    with pytest.raises(reader.Malformed):
        list(reader.rows(path, formats.form("parquet")))
