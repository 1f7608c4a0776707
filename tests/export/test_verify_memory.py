"""Memory is bounded, whatever a file says: what is too long is named, and never unpacked."""

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import zstandard

from auditdb._export import verify
from auditdb._export.formats import parquet, parquet_pages
from auditdb._export.versions import CURRENT
from tests.support import damage
from tests.support.commands import auditdb, environment

pytestmark = [pytest.mark.once, pytest.mark.slow]

MOST = 1 << 30
"""Bytes of address space over what an empty verification takes; each file here would take more."""

LIMITED = """
import resource, sys
import pyarrow.parquet
from auditdb._cli.app import app
with open("/proc/self/statm") as found:
    taken = int(found.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)
app(sys.argv[2:], prog_name="auditdb")
"""


def verified(place: Path) -> str:
    """Return what verifying says that has not much memory."""
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(MOST), "verify", str(place)],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=200,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr) < 2000
    return ran.stderr


def packed(place: Path, compression: str, opened: Callable[[Path], Any], parts: list[Any]) -> Path:
    """Make an export of text of long pieces, each given as bytes and how often they come."""
    form = "csv" if place.name.startswith("csv") else "jsonl"
    damage.written(place, form, [damage.row(n) for n in range(2)], compression=compression)
    plain = place / f"log.{form}"
    path = place / f"log.{form}{'.gz' if compression == 'gzip' else '.zst'}"
    with opened(path) as to:
        to.write(plain.read_bytes())
        for piece, times in parts:
            for _ in range(times):
                to.write(piece)
    plain.unlink()
    damage.renamed(place, path)
    return place


def _gzip(path: Path) -> Any:
    return gzip.open(path, "wb", compresslevel=1)


def _zstd(path: Path) -> Any:
    return zstandard.open(path, "wb")


MIB = b"x" * (1 << 20)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("jsonl-one-line", [(b'{"id":"', 1), (MIB, 900), (b'"}\n', 1)]),
        ("jsonl-without-an-end", [(MIB, 900)]),
        ("jsonl-nested", [(b"[" * (1 << 20), 15), (b"\n", 1)]),
        ("csv-one-cell", [(b'"', 1), (MIB, 900), (b'"\n', 1)]),
        ("csv-cell-of-lines", [(b'"', 1), (b"x" * 1023 + b"\n", 900_000), (b'"\n', 1)]),
        ("csv-cells", [(b"," * (1 << 20), 900), (b"\n", 1)]),
    ],
)
@pytest.mark.parametrize(("compression", "opened"), [("gzip", _gzip), ("zstd", _zstd)])
def test_a_few_bytes_that_stand_for_many_are_not_unpacked(
    tmp_path: Path, name: str, parts: list[Any], compression: str, opened: Callable[[Path], Any]
) -> None:
    said = verified(packed(tmp_path / name, compression, opened, parts))
    assert "after row 2: " in said
    if "nested" not in name:
        assert "longer than 16 MiB" in said


def test_a_row_that_is_meant_to_be_long_is_read_where_somebody_says_so(tmp_path: Path) -> None:
    rows = [damage.row(n, item_label="x" * (17 << 20) if n == 1 else None) for n in range(3)]
    for form in ("jsonl", "parquet", "csv"):
        place = damage.written(tmp_path / form, form, rows)
        ran = auditdb("verify", str(place))
        assert ran.returncode == 1
        assert f"log.{form}: after row 1: the next row is longer than 16 MiB" in ran.stderr
        assert "--longest-row" in ran.stderr
        assert auditdb("verify", str(place), "--longest-row", "18").returncode == 0


def of_parquet(place: Path, cells: dict[str, Any], **options: Any) -> Path:
    """Make an export as Parquet whose columns have these cells."""
    count = len(next(iter(cells.values())))
    rows = [damage.row(n) for n in range(count)]
    damage.written(place, "parquet", rows[:1])
    schema = parquet.schema(CURRENT)
    arrays = {
        name: cells[name]
        if isinstance(cells.get(name), pyarrow.Array)
        else pyarrow.array(
            cells.get(name, [row[name] for row in rows]), type=schema.field(name).type
        )
        for name in schema.names
    }
    to = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), to, store_schema=False, **options)
    damage.rewritten(place, to.getvalue())
    return place


def test_a_page_that_is_too_large_is_not_unpacked(tmp_path: Path) -> None:
    text = "x" * (1 << 20)
    place = of_parquet(
        tmp_path / "out",
        {"item_label": [text + str(n) for n in range(400)]},
        compression="zstd",
        use_dictionary=False,
        data_page_size=1 << 30,
    )
    assert (place / "log.parquet").stat().st_size < 1 << 20
    assert "a page of column item_label has" in verified(place)


def test_a_row_group_that_is_too_large_is_not_unpacked(tmp_path: Path) -> None:
    text = "x" * (1 << 20)
    place = of_parquet(
        tmp_path / "out",
        {"item_label": [text + str(n) for n in range(400)]},
        compression="zstd",
        use_dictionary=False,
        data_page_size=1 << 20,
        write_batch_size=1,
    )
    assert "row group 0 takes" in verified(place)


def test_an_entry_of_a_dictionary_that_all_rows_have_is_not_repeated(tmp_path: Path) -> None:
    """Five hundred rows of one text of four megabytes are two gigabytes."""
    rows = 5000
    place = of_parquet(
        tmp_path / "out",
        {"item_label": pyarrow.DictionaryArray.from_arrays([0] * rows, ["x" * (4 << 20)])},
        compression="zstd",
        dictionary_pagesize_limit=1 << 30,
    )
    assert (place / "log.parquet").stat().st_size < 1 << 20
    assert "5000 rows instead of 1" in verified(place)


def test_an_encoding_that_repeats_what_came_before_is_not_read(tmp_path: Path) -> None:
    place = of_parquet(
        tmp_path / "out",
        {"item_label": ["x" * (1 << 20)] * 1000},
        use_dictionary=False,
        column_encoding={"item_label": "DELTA_BYTE_ARRAY"},
    )
    assert (place / "log.parquet").stat().st_size < 3 << 20
    assert "a page is none that exports have" in verified(place)


def test_what_the_footer_says_of_sizes_is_not_believed(tmp_path: Path) -> None:
    """The sizes in the footer are not looked at, and other programs' files not opened."""
    place = of_parquet(tmp_path / "out", {"item_label": ["a", "b"]})
    path = place / "log.parquet"
    content = path.read_bytes()
    assert content.count(b"parquet-cpp-arrow") == 1
    damage.rewritten(place, content.replace(b"parquet-cpp-arrow", b"parquet-mr-arrow1", 1))
    assert "not written by auditdb export" in auditdb("verify", str(place)).stderr
    damage.rewritten(place, content[:-8] + b"\xff\xff\xff\x7f" + b"PAR1")
    assert "its footer is longer than" in auditdb("verify", str(place)).stderr
    damage.rewritten(place, content[:-4] + b"PARE")
    assert "does not end as Parquet does" in auditdb("verify", str(place)).stderr


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_of_exports_are_all_found(tmp_path: Path, version: str) -> None:
    labels = [f"label {n}" * 50 for n in range(3000)]
    place = of_parquet(
        tmp_path / "out", {"item_label": labels}, data_page_version=version, data_page_size=5000
    )
    path = place / "log.parquet"
    with path.open("rb") as raw, pyarrow.parquet.ParquetFile(path) as found:
        takes = parquet_pages.unpacked(raw, found.metadata.row_group(0), 1 << 30)
    assert takes.bytes > sum(map(len, labels))
    assert 0 < takes.dictionaries < takes.bytes


def test_every_byte_of_a_header_of_a_page_may_be_wrong(tmp_path: Path) -> None:
    place = of_parquet(tmp_path / "out", {"item_label": ["a", "b"]})
    path = place / "log.parquet"
    content = path.read_bytes()
    with pyarrow.parquet.ParquetFile(path) as found:
        footer = len(content) - found.metadata.serialized_size - 8
        group = found.metadata.row_group(0)
    for at in range(4, footer):
        for wrong in (0, 0x15, 0x7F, 0xFF):
            changed = bytearray(content)
            changed[at] = wrong
            try:
                parquet_pages.unpacked(io.BytesIO(bytes(changed)), group, 1 << 20)
            except ValueError:
                continue


def test_a_manifest_and_a_state_file_are_not_read_whatever_their_length(tmp_path: Path) -> None:
    place = damage.written(tmp_path / "out", "jsonl", [damage.row(1)])
    with (place / "manifest.json").open("wb") as to:
        to.truncate(3 << 30)
    assert "manifest.json is no JSON: it is longer than 16 MiB" in verified(place)
    (place / "manifest.json").write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    assert "manifest.json is no JSON: it is nested too deep" in verified(place)


def test_mismatches_do_not_grow_with_the_file(tmp_path: Path) -> None:
    rows = [damage.row(n, layout=n + 1) for n in range(1000)]
    place = damage.written(tmp_path / "out", "jsonl", rows)
    found = verify.directory(place).mismatches
    assert len(found) == verify.MOST_MISMATCHES + 1
    assert found[-1] == "more than 100 mismatches: not looked on"
    assert json.loads((place / "manifest.json").read_text())["rows"] == 1000
