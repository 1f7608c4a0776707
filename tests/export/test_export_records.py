"""Created and deleted rows in exports: records with their layouts, there and back, and damaged."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import _new_database
from tests.export.test_verify import rewritten, verify
from tests.support import effort, records
from tests.support.commands import auditdb, lines
from tests.support.exports import data, export, manifest
from tests.support.helpers import value
from tests.support.servers import Server

IMPORTABLE = ["jsonl", "parquet"]
ONLY = ("--item", "many:1")

HOSTILE = [
    "timezone to 'America/New_York'",
    "datestyle to 'SQL, DMY'",
    "intervalstyle to 'iso_8601'",
    "extra_float_digits to -10",
    "bytea_output to 'escape'",
    "quote_all_identifiers to on",
    "search_path to pg_temp",
]

NOT_OURS = "action not in ('log_imported', 'log_exported')"
EVENTS = (
    "select to_jsonb(e.*) - '{era,layout}'::text[] from audit.events as e where "
    + NOT_OURS
    + " order by occurred_at, id, tx, account_id"
)
CHANGES = (
    "select to_jsonb(c.*) - '{era,layout}'::text[] from audit.changes as c where "
    + NOT_OURS
    + " and table_name is not null order by occurred_at, id, tx, account_id, column_name"
)
ITEM = (
    "select to_jsonb(i.*) - '{era,layout}'::text[] from audit.item_log('many', '4') as i"
    " order by id"
)


def seen(url: str, *queries: LiteralString) -> list[Any]:
    with psycopg.connect(url) as conn:
        return [conn.execute(query).fetchall() for query in queries]


def another_log(url: str) -> None:
    """Give a log an identity of its own: clones of one template have the same."""
    with psycopg.connect(url) as conn:
        conn.execute("update audit.era set log = gen_random_uuid()")


def other_layouts(url: str) -> None:
    """Make layouts of other tables, so that their numbers are taken."""
    with psycopg.connect(url) as conn:
        for name in ("one", "two"):
            conn.execute(f"create table public.{name} (id integer primary key, x text)".encode())
            conn.execute("select audit.track(%s, %s)", [f"public.{name}", name])
            conn.execute(f"insert into public.{name} values (1, 'x')".encode())


@pytest.fixture(scope="module")
def gone(server: Server, engine_template: str) -> Iterator[str]:
    """The URL of a log of a thousand random rows, whose table, columns and types are gone."""
    seed = Random().randrange(10**9)
    with _new_database(server, engine_template) as name:
        url = server.url(name)
        with psycopg.connect(url) as conn:
            records.create(conn)
            conn.commit()
            print(f"seed {seed}")
            records.fill(conn, Random(seed), effort.sized(500, 2000))
            conn.execute("alter table public.many add added text default 'x'")
            conn.execute("insert into public.many (id, added) values (-1, 'y')")
            conn.commit()
            records.forget(conn)
            # Another table of the same name is another table.
            conn.execute("create table public.many (id integer primary key)")
            conn.execute("select audit.track('public.many', 'many')")
            conn.execute("insert into public.many values (-2)")
        yield url


def test_a_record_is_printed_as_its_changes_are(gone: str) -> None:
    with psycopg.connect(gone) as conn:
        for setting in HOSTILE:
            conn.execute(f"set {setting}".encode())
        differing = conn.execute(
            "select r.row_values, r.printed, r.changes from (select l.row_values,"
            " audit.record_text(l.layout, l.row_values, l.is_deleted) as printed,"
            # Put together from the values, which another function reads.
            " (select coalesce(jsonb_object_agg(v.name, jsonb_build_object("
            "     case when l.is_deleted then 'old' else 'new' end, v.value)), '{}')"
            "   || (select coalesce(jsonb_object_agg(s.name, jsonb '{\"redacted\": true}'), '{}')"
            "     from audit.layout as y cross join unnest(y.secret) as s (name)"
            "     where y.id = l.layout)"
            "   from audit.layout as y cross join unnest(y.names,"
            "     audit.record_values(l.layout, l.row_values)) as v (name, value)"
            "   where y.id = l.layout) as changes"
            " from audit.log as l where l.row_values is not null) as r"
            " where r.printed <> r.printed::jsonb::text or r.changes is distinct from ("
            "   select coalesce(jsonb_object_agg(c.key, case when c.value ? 'redacted' then c.value"
            "     else (select jsonb_object_agg(s.key, c.value ->> s.key)"
            "       from jsonb_object_keys(c.value) as s (key)) end), '{}')"
            "   from jsonb_each(r.printed::jsonb) as c) limit 1"
        ).fetchall()
        count = value(conn, "select count(*) from audit.log where row_values is not null")
    assert differing == []
    assert count > 600


@pytest.mark.parametrize("form", ["csv", *IMPORTABLE])
def test_changes_are_those_that_readers_see(gone: str, tmp_path: Path, form: str) -> None:
    export(gone, tmp_path / "out", "--format", form)
    with psycopg.connect(gone) as conn:
        known = conn.execute(
            "select changes::text from audit.events where action <> 'log_exported'"
            " order by occurred_at, id, tx, account_id"
        ).fetchall()
    assert _changes(tmp_path / "out", form)[: len(known)] == [text for (text,) in known]


def _changes(place: Path, form: str) -> list[str | None]:
    """Return what an export has as changes, as text."""
    if form == "parquet":
        from pyarrow import parquet

        found: list[str | None] = parquet.read_table(place / "log.parquet")["changes"].to_pylist()
        return found
    if form == "csv":
        import csv
        import io

        text = data(place)["log.csv"].decode()
        return [row["changes"] or None for row in csv.DictReader(io.StringIO(text, newline=""))]
    texts = []
    for line in data(place)["log.jsonl"].decode().split("\n")[:-1]:
        begin = line.index(',"changes":') + len(',"changes":')
        _, end = json.JSONDecoder().raw_decode(line, begin)
        texts.append(None if line[begin:end] == "null" else line[begin:end])
    return texts


@pytest.mark.parametrize("form", IMPORTABLE)
def test_another_database_shows_the_same(
    server: Server, gone: str, engine_template: str, tmp_path: Path, form: str
) -> None:
    here = seen(gone, EVENTS, CHANGES, ITEM)
    export(gone, tmp_path / "out", "--format", form)
    assert verify(tmp_path / "out").stderr == ""
    with _new_database(server, engine_template) as name:
        there = server.url(name)
        another_log(there)
        ran = auditdb("import", str(tmp_path / "out"), "--url", there)
        assert ran.returncode == 0, ran.stderr
        assert seen(there, EVENTS, CHANGES, ITEM) == here
    with _new_database(server, engine_template) as name:
        there = server.url(name)
        another_log(there)
        other_layouts(there)
        before = seen(there, EVENTS)
        for expected in (manifest(tmp_path / "out")["rows"], 0):
            ran = auditdb("import", str(tmp_path / "out"), "--url", there)
            assert f"of which {expected} were new" in ran.stderr
        events, item = seen(there, EVENTS, ITEM)
        assert sorted(map(str, events)) == sorted(map(str, here[0] + before[0]))
        assert item == here[2]
        (rows,) = seen(
            there, "select distinct era from audit.log where item_type = 'many' and " + NOT_OURS
        )
        assert rows == [(-2,)]
        # What came in goes out as it came, under the numbers that it has now.
        export(there, tmp_path / "again", "--format", form)
        told = [_told(place) for place in (tmp_path / "out", tmp_path / "again")]
        assert [one for one in told[1] if one in told[0]] == told[0]
    with _new_database(server, str(conninfo_to_dict(gone)["dbname"])) as name:
        ran = auditdb("import", str(tmp_path / "again"), "--url", server.url(name))
        assert ran.returncode == 0, ran.stderr
        new = len(before[0]) + 2  # and the two imports
        assert re.search(f"of which {new} were new", ran.stderr), ran.stderr


def _told(place: Path) -> list[tuple[str, list[Any], list[str]]]:
    """Return what an export says of its layouts, without their numbers."""
    return [
        (one["table_name"], one["columns"], one["secret"]) for one in manifest(place)["layouts"]
    ]


def test_tables_of_one_name_stay_apart(
    server: Server, gone: str, engine_template: str, tmp_path: Path
) -> None:
    export(gone, tmp_path / "out", "--format", "jsonl")
    query: LiteralString = (
        "select count(distinct tracked_id), max(tracked_id) from audit.layout"
        " where table_name = 'public.many'"
    )
    with _new_database(server, engine_template) as name:
        there = server.url(name)
        another_log(there)
        other_layouts(there)
        assert auditdb("import", str(tmp_path / "out"), "--url", there).returncode == 0
        ((count, greatest),) = seen(there, query)[0]
    assert count == seen(gone, query)[0][0][0] == 2
    assert greatest < 0, "it may be taken for a table of the database"


def test_increments_are_of_the_same_table(
    server: Server, engine_database: str, engine_template: str, tmp_path: Path
) -> None:
    state = ("--format", "jsonl", "--since-last", str(tmp_path / "state"))
    with _new_database(server, engine_template) as name, psycopg.connect(engine_database) as conn:
        another_log(server.url(name))
        conn.execute("create table public.t (id integer primary key)")
        conn.execute("select audit.track('public.t', 't')")
        for number in range(2):
            conn.execute("insert into public.t values (%s)", [number])
            conn.execute(f"alter table public.t add c{number} text".encode())
            conn.commit()
            export(engine_database, tmp_path / str(number), *state)
            ran = auditdb("import", str(tmp_path / str(number)), "--url", server.url(name))
            assert ran.returncode == 0, ran.stderr
        query = (
            "select count(*), count(distinct tracked_id) from audit.layout"
            " where table_name = 'public.t'"
        )
        assert seen(server.url(name), query) == [[(2, 1)]]


def test_a_layout_that_is_there_already_serves(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    ddl = "create table public.t (id integer primary key, x text)"
    for url in (database, engine_database):
        with psycopg.connect(url) as conn:
            conn.execute(ddl)
            conn.execute("select audit.track('public.t', 't')")
            conn.execute("insert into public.t values (1, 'x')")
    export(database, tmp_path / "out", "--item", "t:1", "--format", "jsonl")
    query = "select count(*) from audit.layout"
    before = seen(engine_database, query)
    assert auditdb("import", str(tmp_path / "out"), "--url", engine_database).returncode == 0
    assert seen(engine_database, query) == before
    rows = seen(engine_database, "select layout, row_values from audit.log where item_type = 't'")
    assert rows == [[(1, "(1,x)"), (1, "(1,x)")]]


def test_the_manifest_has_the_layouts_that_rows_name_and_no_others(
    database: str, tmp_path: Path
) -> None:
    other_layouts(database)
    for form in ("csv", *IMPORTABLE):
        export(database, tmp_path / form, "--item", "two:1", "--format", form)
        (one,) = manifest(tmp_path / form)["layouts"]
        assert one["table_name"] == "public.two"
        assert [column["name"] for column in one["columns"]] == ["id", "x"]


def test_a_layout_that_the_log_has_lost_is_said(database: str, tmp_path: Path) -> None:
    other_layouts(database)
    with psycopg.connect(database) as conn:
        conn.execute("delete from audit.layout where table_name = 'public.two'")
    ran = auditdb("export", str(tmp_path / "out"), "--url", database)
    assert ran.returncode == 1
    assert "which audit.layout has not" in ran.stderr


# -- damage ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(server: Server, engine_template: str) -> Iterator[str]:
    """The URL of a log with created rows of two columns."""
    with _new_database(server, engine_template) as name:
        url = server.url(name)
        with psycopg.connect(url) as conn:
            conn.execute("create table public.t (id integer primary key, x text, at date)")
            conn.execute("select audit.track('public.t', 't')")
            for number in range(1, 21):
                conn.execute(
                    "insert into public.t values (%s, 'say \"no\"', '2026-01-01')", [number]
                )
        yield url


@pytest.fixture
def place(two: str, tmp_path: Path) -> Path:
    """An export of that log, for the test alone."""
    export(two, tmp_path / "out", "--format", "jsonl", "--action", "t_created")
    return tmp_path / "out"


def changed(number: int, **cells: Any) -> Callable[[list[bytes]], list[bytes]]:
    """Return what gives a row of a file other cells."""

    def change(found: list[bytes]) -> list[bytes]:
        row = json.loads(found[number - 1]) | cells
        found[number - 1] = (json.dumps(row, separators=(",", ":")) + "\n").encode()
        return found

    return change


NO_RECORD = "its row_values are no record of 3 columns"


def test_the_rows_are_records(place: Path) -> None:
    first, *_ = data(place)["log.jsonl"].splitlines()
    assert json.loads(first)["row_values"] == '(1,"say ""no""",2026-01-01)'


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (
            {"row_values": "(5,x)"},
            f"{NO_RECORD} of layout 1, public.t",
        ),
        ({"row_values": "(5,x,2026-01-01,)"}, NO_RECORD),
        ({"row_values": "(5,x,2026-01-01"}, NO_RECORD),
        ({"row_values": "5,x,2026-01-01"}, NO_RECORD),
        ({"row_values": '(5,"x,2026-01-01)'}, NO_RECORD),
        ({"row_values": "(5,x y,2026-01-01)"}, NO_RECORD),
        ({"row_values": ""}, NO_RECORD),
        ({"row_values": 7}, "its row_values is no text"),
        ({"layout": None}, "it has row_values of no layout"),
        ({"layout": 2}, "the manifest has no layout 2"),
        ({"layout": "x"}, "its layout is no number"),
        ({"changes": None}, "it has row_values and no changes"),
    ],
)
def test_a_text_that_is_no_record_is_named(
    two: str, place: Path, engine_database: str, cells: dict[str, Any], named: str
) -> None:
    ran = rewritten(place, changed(5, **cells))
    assert ran.returncode == 1
    assert f"log.jsonl: row 5: {named}" in ran.stderr
    ran = auditdb("import", str(place), "--url", engine_database)
    assert ran.returncode == 1
    assert f"log.jsonl: row 5: {named}" in ran.stderr


STATE: LiteralString = "select (select count(*) from audit.log), (select count(*) from audit.era)"


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        ({"row_values": "(x,y,2026-01-01)"}, 'say: invalid input syntax for type integer: "x"'),
        ({"row_values": '(13,"say ""no""",2026-13-01)'}, "say: date/time field value out of range"),
        ({"row_values": '(14,"say ""no""",2026-01-01)'}, "say."),
        ({"is_deleted": True}, "say."),
        ({"changes": {}}, "say."),
    ],
)
def test_a_record_that_reads_as_something_else_is_named_and_nothing_is_written(
    place: Path, engine_database: str, cells: dict[str, Any], named: str
) -> None:
    assert rewritten(place, changed(13, **cells)).returncode == 0
    before = seen(engine_database, STATE)
    ran = auditdb("import", str(place), "--url", engine_database)
    assert ran.returncode == 1
    assert f"log.jsonl: row 13: its row_values do not read as its changes {named}" in ran.stderr
    assert "Nothing was imported." in ran.stderr
    assert seen(engine_database, STATE) == before
    export(engine_database, place.parent / "after")


def test_a_record_that_is_misread_in_the_second_file_leaves_nothing_of_the_first(
    server: Server, two: str, engine_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import incoming

    monkeypatch.setattr(incoming, "BATCH", 3)
    monkeypatch.setattr("auditdb._export.verify.RowCheck.problem", lambda *_: None)
    whole = tmp_path / "out"
    with psycopg.connect(two) as conn:
        conn.execute(
            "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
            " db_role, layout, row_values) select '2020-01-01Z', 't_created', 't', '1', 'a', 'b',"
            " 'c', 1, '(1,x,2026-01-01)'"
        )
    export(two, whole, "--format", "jsonl", "--action", "t_created", "--per-partition")
    first, second = (one["name"] for one in manifest(whole)["files"])
    assert first == "log_past.jsonl"
    path = whole / second
    found = changed(9, row_values="(9,x,never)")(path.read_bytes().splitlines(keepends=True))
    path.write_bytes(b"".join(found))
    monkeypatch.setattr("auditdb._export.verify._outside", lambda *_: iter(()))
    before = seen(engine_database, STATE)
    ran = auditdb("import", str(whole), "--url", engine_database)
    assert f"{second}: row 9: its row_values do not read" in ran.stderr
    assert seen(engine_database, STATE) == before


def set_in_layout(**given: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["layouts"][0].update(given)


def set_in_column(**given: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["layouts"][0]["columns"][0].update(given)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda found: found.pop("layouts"), "is no manifest"),
        (lambda found: found.update(layouts={}), "its layouts are no list"),
        (lambda found: found.update(layouts=[]), "row 1: the manifest has no layout 1"),
        (lambda found: found["layouts"].append(found["layouts"][0]), "two layouts of one number"),
        (lambda found: found["watermark"].update(log="x"), "is no manifest"),
        (set_in_layout(id="1"), "has a number that is none"),
        (set_in_layout(table_name=""), "has a name that is none"),
        (set_in_layout(secret=["x"]), "has columns that no table has"),
        (set_in_layout(secret=["é" * 32]), "has columns that no table has"),
        (set_in_layout(columns=[{}]), "this is no layout"),
        (set_in_column(kept_as="integer); drop table audit.log; --"), "as what is no type"),
        (set_in_column(name="x\0"), "has a name that is none"),
    ],
)
def test_a_layout_that_is_none_is_named(
    place: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    found = manifest(place)
    change(found)
    (place / "manifest.json").write_text(json.dumps(found))
    ran = verify(place)
    assert ran.returncode == 1
    assert named in ran.stderr


@pytest.mark.parametrize(
    "kept_as", ["pg_catalog.nosuch", "pg_catalog.regclass", "pg_catalog.int4[]"]
)
def test_a_type_that_records_do_not_keep_is_refused(
    place: Path, engine_database: str, kept_as: str
) -> None:
    found = manifest(place)
    set_in_column(kept_as=kept_as)(found)
    (place / "manifest.json").write_text(json.dumps(found))
    assert verify(place).returncode == 0
    before = seen(engine_database, "select count(*) from audit.layout", STATE)
    ran = auditdb("import", str(place), "--url", engine_database)
    assert ran.returncode == 1
    assert f"records of public.t: there is no type {kept_as} here" in ran.stderr
    assert seen(engine_database, "select count(*) from audit.layout", STATE) == before


def test_an_event_of_an_imported_record_is_read_like_any_other(
    place: Path, engine_database: str
) -> None:
    assert auditdb("import", str(place), "--url", engine_database).returncode == 0
    (event,) = lines(auditdb("log", "--item", "t:13", "--json", "--url", engine_database))
    assert event["changes"]["x"] == {"new": 'say "no"'}
