"""Exports: every row as it is, in every format, for nobody who may not, and nothing left half."""

import csv
import gzip
import io
import json
import os
import pty
import re
import select
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from auditdb._export.versions import CURRENT
from tests.conftest import CreateRole, _new_database
from tests.support import exports
from tests.support.commands import START, add, auditdb, environment, program, terminal
from tests.support.exports import FORMS, RANGE, add_hostile, data, export, fill, manifest
from tests.support.servers import Server


@pytest.fixture(scope="module")
def log(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with four rows of the first of March 2026, which tests only read."""
    with _new_database(server, template) as name:
        url = server.url(name)
        at = [START.replace(second=number) for number in range(5)]
        device: dict[str, Any] = {
            "item_type": "device", "parent_type": "license", "parent_id": "42",
        }  # fmt: skip
        add(url, action="a", occurred_at=at[1], item_label="1")
        add(url, action="b", occurred_at=at[2], item_label="2", **device)
        add(url, action="c", occurred_at=at[3], item_label="3", item_id="43", actor_type="api_key")
        add(url, action="d", occurred_at=at[4], item_label="4", item_id="44", account_id="2")
        yield url


# -- every row as it is ----------------------------------------------------------------------


CSV_COLUMNS = [name for name in CURRENT.columns if name != "row_values"]


def expected(url: str, names: Iterable[str] = CURRENT.columns) -> list[tuple[str | None, ...]]:
    """Return the rows in order, each column as text."""
    with psycopg.connect(url) as connection:
        connection.execute("set timezone to 'UTC'")
        cells = ", ".join(
            'to_char(occurred_at, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
            if name == "occurred_at"
            else f"{name}::text"
            for name in names
        )
        query = (
            f"select {cells} from audit.log as l where l.occurred_at < '2026-09-01Z'"
            " order by l.occurred_at, l.id, l.tx, l.account_id"
        )
        return connection.execute(query.encode()).fetchall()


def test_csv_holds_every_value_and_tells_null_from_empty(database: str, tmp_path: Path) -> None:
    add_hostile(database)
    export(database, tmp_path / "out", *RANGE)
    content = data(tmp_path / "out")["log.csv"].decode()
    # PostgreSQL reads CSV with its null told from its empty text; Python's module does not.
    with psycopg.connect(database) as connection:
        texts = sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(name)) for name in CSV_COLUMNS
        )
        connection.execute(sql.SQL("create temporary table read (n serial, {})").format(texts))
        names = sql.SQL(", ").join(map(sql.Identifier, CSV_COLUMNS))
        copy_in = sql.SQL("copy read ({}) from stdin (format csv, header match)").format(names)
        with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
            copy.write(content.encode())
        found = connection.execute(
            sql.SQL("select {} from read order by n").format(names)
        ).fetchall()
    assert found == expected(database, CSV_COLUMNS)
    assert "\r\n" not in content.split("\n", 1)[0]


def test_json_lines_hold_every_value_with_ids_as_strings(database: str, tmp_path: Path) -> None:
    add_hostile(database)
    export(database, tmp_path / "out", *RANGE, "--format", "jsonl")
    content = (tmp_path / "out/log.jsonl").read_bytes()
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    found = []
    for line in lines:
        row = json.loads(line)
        assert list(row) == list(CURRENT.columns)
        assert isinstance(row["id"], str)
        # As jsonb prints it, byte for byte.
        for name in (name for name, kind in CURRENT.columns.items() if kind == "jsonb"):
            begin = line.index(f'"{name}":') + len(f'"{name}":')
            _, end = json.JSONDecoder().raw_decode(line, begin)
            row[name] = None if line[begin:end] == "null" else line[begin:end]
        row |= {name: json.dumps(row[name]) for name in ("is_cascade", "is_deleted")}
        found.append(tuple(row.values()))
    assert found == expected(database)


def test_parquet_holds_every_value_with_its_type(database: str, tmp_path: Path) -> None:
    from pyarrow import parquet

    add_hostile(database)
    export(database, tmp_path / "out", *RANGE, "--format", "parquet")
    table = parquet.read_table(tmp_path / "out/log.parquet")
    assert str(table.schema.field("id").type) == "int64"
    assert str(table.schema.field("occurred_at").type) == "timestamp[us, tz=UTC]"
    found = []
    for row in table.to_pylist():
        row |= {"id": str(row["id"]), "tx": str(row["tx"])}
        row["occurred_at"] = f"{row['occurred_at']:%Y-%m-%dT%H:%M:%S.%f}Z"
        row |= {name: json.dumps(row[name]) for name in ("is_cascade", "is_deleted")}
        found.append(tuple(row.values()))
    assert found == expected(database)


def test_years_that_no_calendar_of_python_has_are_exported(database: str, tmp_path: Path) -> None:
    for at in ("0044-03-15 12:00:00.5+00 BC", "12345-06-07 08:09:10+00", "0001-01-01 00:00+00"):
        add(database, occurred_at=at)
    for form, compress in FORMS:
        place = tmp_path / f"{form}-{compress}"
        export(
            database, place, "--format", form, "--compress", compress, "--action", "license_updated"
        )
        assert auditdb("verify", str(place)).returncode == 0
    lines = data(tmp_path / "jsonl-none")["log.jsonl"].splitlines()
    times = [json.loads(line)["occurred_at"] for line in lines]
    assert times == [
        "0044-03-15T12:00:00.500000Z BC",
        "0001-01-01T00:00:00.000000Z",
        "12345-06-07T08:09:10.000000Z",
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_are_sorted_by_all_that_tells_them_apart(
    database: str, tmp_path: Path, form: str
) -> None:
    later = START.replace(second=1)
    for number, at, tx, account in (
        (900, START, 1, "1"),
        (700, later, 1, "1"),
        (800, START, 3, "1"),
        (800, START, 2, "2"),
        (800, START, 2, "1"),
        (800, START, 2, "Z"),
        (800, START, 2, "a"),
    ):
        add(database, id=number, occurred_at=at, tx=tx, account_id=account)
    export(database, tmp_path / "out", *RANGE, "--format", form)
    found = [(row.key.account, row.key.id, row.key.tx) for row in exports.rows(tmp_path / "out")]
    expected = [(b"1", 800, 2), (b"2", 800, 2), (b"Z", 800, 2), (b"a", 800, 2), (b"1", 800, 3)]
    assert found == [*expected, (b"1", 900, 1), (b"1", 700, 1)]


@pytest.mark.parametrize(("form", "compress"), FORMS)
def test_an_empty_range_gives_valid_empty_files(
    log: str, tmp_path: Path, form: str, compress: str
) -> None:
    options = ("--since", "1999-01-01", "--until", "2000-01-01", "--format", form)
    export(log, tmp_path / "out", *options, "--compress", compress)
    assert manifest(tmp_path / "out")["rows"] == 0
    assert len(data(tmp_path / "out")) == 1
    assert list(exports.rows(tmp_path / "out")) == []
    verified = auditdb("verify", str(tmp_path / "out"))
    assert (verified.returncode, verified.stderr) == (0, "")
    if (form, compress) == ("csv", "none"):
        assert data(tmp_path / "out")["log.csv"].decode() == ",".join(CSV_COLUMNS) + "\n"


def test_a_closed_range_gives_the_same_bytes_again(
    database: str, tmp_path: Path, create_role: CreateRole
) -> None:
    fill(database, 2000, "1 hour")
    first = {}
    for form, compress in FORMS:
        options = (*RANGE, "--format", form, "--compress", compress, "--per-partition")
        export(database, tmp_path / f"{form}-{compress}", *options)
        assert manifest(tmp_path / f"{form}-{compress}")["rows"] == 2000
        first[options] = data(tmp_path / f"{form}-{compress}")
    with psycopg.connect(database) as connection:
        name = sql.Identifier(connection.info.dbname)
        for setting in (
            "timezone to 'America/New_York'",
            "datestyle to 'SQL, DMY'",
            "extra_float_digits to -10",
            "search_path to 'licensing'",
            "standard_conforming_strings to off",
        ):
            connection.execute(sql.SQL("alter database {} set " + setting).format(name))
    add(database, occurred_at="2026-09-01 00:00Z")
    for number, (options, whole) in enumerate(first.items()):
        export(database, tmp_path / str(number), *options)
        assert data(tmp_path / str(number)) == whole, options


def test_gzip_has_no_name_and_no_time_in_it(database: str, tmp_path: Path) -> None:
    fill(database, 10)
    export(database, tmp_path / "out", *RANGE, "--compress", "gzip")
    content = data(tmp_path / "out")["log.csv.gz"]
    assert content[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert gzip.decompress(content).count(b"\n") == 11


def test_files_per_partition_hold_together_what_one_file_holds(
    database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database) as connection:
        names = connection.execute(
            "select m, m + interval '1 month' from date_trunc('month', now(), 'UTC') as m"
        ).fetchone()
    assert names is not None
    add(database, occurred_at="2020-01-01Z")
    for at in names:
        add(database, occurred_at=at)
    options = ("--action", "license_updated", "--format", "jsonl")
    export(database, tmp_path / "one", *options)
    export(database, tmp_path / "many", *options, "--per-partition")
    files = [one["name"] for one in manifest(tmp_path / "many")["files"]]
    assert files == ["log_past.jsonl", *(f"log_{at.astimezone(UTC):%Y_%m}.jsonl" for at in names)]
    assert (
        b"".join(data(tmp_path / "many")[name] for name in files)
        == (data(tmp_path / "one")["log.jsonl"])
    )


# -- what is wanted --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], [1, 2, 3, 4]),
        (["--account", "1"], [1, 2, 3]),
        (["--item", "license:42"], [1, 2]),
        (["--action", "b", "--action", "c"], [2, 3]),
        (["--actor", "api_key"], [3]),
        (["--actor", "platform_user:7"], [1, 2, 4]),
        (["--since", "2026-03-01T12:00:02Z"], [2, 3, 4]),
        (["--until", "2026-03-01T12:00:02Z"], [1]),
    ],
)
def test_filters_mean_what_they_mean_for_log(
    log: str, options: list[str], numbers: list[int]
) -> None:
    given = options if "--until" in options else [*options, "--until", "2026-04-01"]
    ran = auditdb("export", "-", "--format", "jsonl", "--url", log, *given)
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line)["item_label"] for line in ran.stdout.splitlines()]
    assert found == [str(number) for number in numbers]
    shown = auditdb("log", "--url", log, "--json", *given)
    labels = [json.loads(line)["item_label"] for line in shown.stdout.splitlines()]
    assert labels == found[::-1]


def test_a_spreadsheet_finds_no_formula(database: str, tmp_path: Path) -> None:
    add_hostile(database, size=10)
    hidden = [
        "a;=1",
        'a;"=cmd|x"',
        "a\n+1",
        "a;b\t@x",
        "a; -1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
    ]
    for number, text in enumerate(hidden):
        add(database, item_label=text, account_id=text, id=10**6 + number)
    export(database, tmp_path / "out", *RANGE, "--spreadsheet")
    assert manifest(tmp_path / "out")["spreadsheet"] is True
    content = data(tmp_path / "out")["log.csv"].decode()
    cells = [cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row]
    for formula in ("'=1+2", "'+1", "'-1", "'@sum", "'\tcell", "'\rcell", "'quoted", "'\uff1d1"):
        assert formula in cells
    # Wherever a program separates by other characters than commas.
    for separator in (",", ";", "\t"):
        lines = io.StringIO(content, newline="")
        cells = [cell for row in csv.reader(lines, delimiter=separator) for cell in row]
        signs = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
        assert [cell for cell in cells if cell.lstrip(" ").startswith(signs)] == []
    assert auditdb("verify", str(tmp_path / "out")).returncode == 0
    one = ("--spreadsheet", "--account", 'a;"=cmd|x"')
    export(database, tmp_path / "one", *RANGE, *one)
    assert manifest(tmp_path / "one")["rows"] == 1
    assert auditdb("verify", str(tmp_path / "one")).returncode == 0
    plain = auditdb("export", "-", "--url", database, *RANGE).stdout
    assert ",=1+2," in plain
    assert "'=1+2" not in plain


# -- the directory ---------------------------------------------------------------------------


def test_what_an_export_writes_is_for_its_owner_alone(database: str, tmp_path: Path) -> None:
    fill(database, 10)
    export(database, tmp_path / "out", "--since-last", str(tmp_path / "state"))
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    written = [*(tmp_path / "out").iterdir(), tmp_path / "state"]
    assert [path.name for path in written if stat.S_IMODE(path.stat().st_mode) != 0o600] == []
    assert {path.name for path in written} == {"log.csv", "manifest.json", "state"}


def test_the_manifest_says_what_is_there(database: str, tmp_path: Path) -> None:
    fill(database, 100)
    export(database, tmp_path / "out", *RANGE, "--account", "1")
    found = manifest(tmp_path / "out")
    content = data(tmp_path / "out")["log.csv"]
    (one,) = found["files"]
    assert one["sha256"] == exports.sha256(content)
    assert (one["rows"], one["bytes"]) == (34, len(content))
    assert found["filters"]["account_id"] == "1"
    assert found["filters"]["until"] == "2026-09-01T00:00:00.000000Z"
    assert [column["name"] for column in found["columns"]] == CSV_COLUMNS
    lines = list(csv.DictReader(io.StringIO(content.decode())))
    for end, line in (("first", lines[0]), ("last", lines[-1])):
        assert one[end] == {key: line[key] for key in CURRENT.order}
    assert found["watermark"]["next_tx"] > 0
    said = ("format", "data", "compression", "spreadsheet", "columns", "order")
    about = ("watermark", "after", "is_standby", "server_version", "auditdb_version", "library")
    what = ("layouts", "actions", "filters", "rows", "sha256", "files")
    assert list(found) == [*said, *what, *about, "created_at"]
    assert found["auditdb_version"] == version("auditdb")
    assert (found["library"], found["after"], found["is_standby"]) == (None, None, False)
    with psycopg.connect(database) as connection:
        assert found["server_version"] == connection.info.parameter_status("server_version")
    for form, compress, library in (
        ("parquet", "zstd", "pyarrow"), ("csv", "zstd", "zstd"), ("csv", "gzip", "zlib"),
    ):  # fmt: skip
        place = tmp_path / f"{form}-{compress}"
        export(database, place, *RANGE, "--format", form, "--compress", compress)
        assert re.fullmatch(library + r" \d+[.\d]*.*", manifest(place)["library"])


def test_a_directory_that_holds_something_else_is_refused(database: str, tmp_path: Path) -> None:
    export(database, tmp_path / "out", *RANGE)
    before = data(tmp_path / "out")
    again = auditdb("export", str(tmp_path / "out"), "--url", database, *RANGE)
    assert again.returncode == 1
    assert "complete" in again.stderr
    assert data(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    other = auditdb("export", str(tmp_path / "mine"), "--url", database)
    assert other.returncode == 1
    assert "notes.txt" in other.stderr
    nowhere = auditdb("export", str(tmp_path / "no/where"), "--url", database)
    assert nowhere.returncode == 1
    assert "cannot be made" in nowhere.stderr
    a_file = auditdb("export", str(tmp_path / "mine/notes.txt"), "--url", database)
    assert a_file.returncode == 1


def test_a_pipe_is_told_the_result_alone(database: str, tmp_path: Path) -> None:
    fill(database, 50)
    ran = program("export", str(tmp_path / "out"), "--url", database, *RANGE, FORCE_COLOR="1")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.count("\n") == 2
    assert "50 rows" in ran.stderr


def test_a_terminal_is_shown_how_far_it_is(database: str, tmp_path: Path) -> None:
    fill(database, 50_000, "1 minute")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "auditdb", "export", str(tmp_path / "out"), *RANGE],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment(TERM="xterm-256color", AUDITDB_URL=database),
    )
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], 60)[0] and (read := os.read(ours, 65536)):
            shown += read
    except OSError:  # how Linux says that the other side has closed
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=60) == 0
    shown = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown)
    assert re.search(rb"50000/50000 rows [\d,]+ rows/s", shown)


def test_stdout_gets_the_data_and_nothing_else(database: str) -> None:
    fill(database, 50)
    ran = program("export", "-", "--url", database, *RANGE, "--format", "jsonl")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout.splitlines()) == 50
    code, shown = terminal("export", "-", "--url", database, *RANGE)
    assert code == 0
    assert shown.count("\r\n") == 51
