"""The columns of the log are listed once in SQL and once in Python: who else has them follows.

A column more is tried on a copy of sql/, and on one of the package.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from auditdb._connection.runner import Query, _for_psycopg
from auditdb._export import versions
from auditdb._export.formats import FORMATS
from auditdb._query import months, rows
from auditdb._query.filters import filtered
from auditdb._query.statements import page_query
from tests.conftest import _new_database
from tests.docs import test_docs
from tests.support import ROOT
from tests.support.commands import add, environment
from tests.support.exports import data, export, manifest
from tests.support.log_columns import (
    COLOUR,
    ITEM_VIEWS,
    READERS,
    STORED,
    check,
    columns,
    comments,
    install_with_colour,
)
from tests.support.servers import Server


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_has_every_column_of_the_log(
    connection: psycopg.Connection, reader: str
) -> None:
    check(connection, reader)


def test_columns_come_in_the_order_of_the_log(connection: psycopg.Connection) -> None:
    log = columns(connection, "audit.log")
    events = columns(connection, "audit.events")
    shown = [(name, kind) for name, kind in log.items() if name not in STORED]
    # The log has last what changes are made from.
    assert shown.pop() == ("changes", "jsonb")
    shown.insert(-2, ("changes", "jsonb"))
    added = [("era", "smallint"), ("table_name", "text"), ("layout", "integer"), ("key", "text")]
    assert list(events.items()) == [("action_label", "text"), *shown, *added]
    for view in ITEM_VIEWS:
        (own, _), *others = columns(connection, view).items()
        assert own == f"{view.split('.')[1].removesuffix('_log')}_id"
        assert others == list(events.items())
    changes = columns(connection, "audit.changes")
    last = ("era", "layout")
    assert [n for n in changes if n in log and n not in last] == [
        n for n in log if n in changes and n not in last
    ]
    assert {changes[name] == log[name] for name in changes if name in log} == {True}


def test_exports_have_the_columns_of_the_log_with_their_types(
    connection: psycopg.Connection,
) -> None:
    exported = [
        (name, connection.execute("select %s::regtype::text", [kind]).fetchone())
        for name, kind in versions.CURRENT.columns.items()
    ]
    log = columns(connection, "audit.log")
    assert sorted(exported) == sorted(
        (name, (kind,)) for name, kind in log.items() if name not in versions.LEFT_OUT
    )


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan that read partitions of the log."""
    if node.get("Relation Name", "").startswith("log_"):
        yield node
    for inner in node.get("Plans", ()):
        yield from scans(inner)


def test_a_page_is_sorted_as_its_rows_are_stored(connection: psycopg.Connection) -> None:
    """Else each row would be taken apart and put together anew, not the page's alone."""
    page = page_query(rows.COLUMNS, filtered(), months.Window(), 51, None)
    in_sql = Query("select * from audit.events order by occurred_at desc, id desc limit 50", {})
    for query in (page, in_sql):
        explained = connection.execute(
            b"explain (verbose, format json) " + _for_psycopg(query.sent), query.values
        ).fetchone()
        assert explained is not None
        outputs = {
            tuple(column.rpartition(".")[2] for column in scan["Output"])
            for scan in scans(explained[0][0]["Plan"])
        }
        assert outputs == {tuple(columns(connection, "audit.log"))}


def check_comments(conn: psycopg.Connection) -> None:
    log = comments(conn, "audit.log")
    label = {"action_label": comments(conn, "audit.events")["action_label"]}
    assert None not in log.values()
    for view in ("audit.events", "audit.changes", *ITEM_VIEWS):
        shown = comments(conn, view)
        differing = {n for n, text in (log | label).items() if shown.get(n, text) != text}
        assert differing == set(), view


def test_views_say_of_a_column_what_the_log_says(connection: psycopg.Connection) -> None:
    check_comments(connection)


# -- one column more -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coloured(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database whose log has one more column, of which nobody was told."""
    with _new_database(server) as name:
        install_with_colour(server, name, tmp_path_factory.mktemp("coloured") / "sql")
        yield name


@pytest.fixture
def told(coloured: str, server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url(coloured)) as conn:
        yield conn


@pytest.mark.parametrize("reader", READERS)
def test_who_does_not_follow_is_named(told: psycopg.Connection, reader: str) -> None:
    with pytest.raises(AssertionError, match=f"{reader} lacks {COLOUR}"):
        check(told, reader)


def test_the_version_of_exports_is_named(told: psycopg.Connection) -> None:
    with pytest.raises(AssertionError, match=COLOUR):
        test_exports_have_the_columns_of_the_log_with_their_types(told)


def test_the_comment_follows_and_the_lack_of_it_in_the_docs_is_named(
    told: psycopg.Connection,
) -> None:
    check_comments(told)
    assert comments(told, "audit.log")[COLOUR] == "Colour of the row."
    with pytest.raises(AssertionError, match=COLOUR):
        test_docs.test_every_table_view_and_column_is_documented(told)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package that is told of the column: in Event, and by a version of exports."""
    place = tmp_path / "checkout"
    shutil.copytree(ROOT / "auditdb", place / "auditdb")
    columns_then = f'{{**_VERSIONS[-1].columns, "{COLOUR}": "text"}}'
    version = f"FormatVersion(_VERSIONS[-1].number + 1, {columns_then})"
    told = {
        "_query/records.py": (
            '    """The context of the actor exactly as PostgreSQL writes it."""\n',
            rf"\g<0>    {COLOUR}: str | None\n",
        ),
        "_export/versions.py": (r"\nVERSIONS = ", rf"\n_VERSIONS.append({version})\n\g<0>"),
    }
    for name, (at, more) in told.items():
        path = place / "auditdb" / name
        text, replaced = re.subn(at, more, path.read_text("utf-8"))
        assert replaced == 1, name
        path.write_text(text, "utf-8")
    return place


RUN = """
import json, sys
from auditdb._cli.app import app
for arguments in json.loads(sys.argv[1]):
    assert not app(arguments, standalone_mode=False), arguments
"""


def run(package: Path, *commands: list[str]) -> list[str]:
    """Run commands of a copy of the package, all of which must work; return their lines."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        capture_output=True,
        encoding="utf-8",
        env=environment(PYTHONPATH=str(package)),
        cwd=package,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.fixture(scope="module")
def shown(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database whose log has one more column, and the view of events too."""
    with _new_database(server) as name:
        place = tmp_path_factory.mktemp("shown") / "sql"
        install_with_colour(server, name, place, is_shown=True)
        yield name


@pytest.fixture
def two_logs(server: Server, shown: str) -> Iterator[tuple[str, str]]:
    """The URLs of two databases whose logs and views have one more column."""
    with _new_database(server, shown) as one, _new_database(server, shown) as other:
        yield server.url(one), server.url(other)


ONLY = ["--action", "license_updated"]


def exporting(url: str, place: Path, suffix: str = "") -> list[list[str]]:
    """Return the commands that export in every format."""
    return [
        ["export", str(place / f"{name}{suffix}"), *ONLY, "--format", name, "--url", url]
        for name in FORMATS
    ]


def test_told_in_three_places_every_reader_follows(
    two_logs: tuple[str, str], package: Path, tmp_path: Path
) -> None:
    here, there = two_logs
    add(here, item_label="red", **{COLOUR: "red"})
    line, *verified = run(
        package,
        ["log", "--json", *ONLY, "--url", here],
        *exporting(here, tmp_path),
        *(["verify", str(tmp_path / name)] for name in FORMATS),
        ["import", str(tmp_path / "jsonl"), "--url", there],
        *exporting(there, tmp_path, "-again"),
    )
    assert json.loads(line)[COLOUR] == "red"
    assert sum("1 rows in 1 file(s) are intact" in one for one in verified) == len(FORMATS)
    for name in FORMATS:
        assert manifest(tmp_path / name)["format"] == versions.CURRENT.number + 1
        again = data(tmp_path / f"{name}-again")
        assert again == data(tmp_path / name)
        assert b"red" in b"".join(again.values())


def test_told_in_event_followers_have_it(two_logs: tuple[str, str], package: Path) -> None:
    here, _ = two_logs
    add(here, **{COLOUR: "red"})
    follow = ["log", "--follow", "--since", "9999d", "--json", *ONLY, "--url", here]
    with subprocess.Popen(
        [sys.executable, "-m", "auditdb", *follow],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=environment(PYTHONPATH=str(package)),
        cwd=package,
    ) as following:
        assert following.stdout is not None
        followed = following.stdout.readline()
        following.kill()
    assert json.loads(followed)[COLOUR] == "red"


def test_archives_from_before_the_column_are_still_read(
    two_logs: tuple[str, str], package: Path, database: str, tmp_path: Path
) -> None:
    add(database, item_label="plain")
    commands = []
    for name, into in zip(("jsonl", "parquet"), two_logs, strict=True):
        place = tmp_path / name
        export(database, place, *ONLY, "--format", name)
        assert manifest(place)["format"] == versions.CURRENT.number
        commands += [["verify", str(place)], ["import", str(place), "--url", into]]
    verified = run(package, *commands)
    assert sum("1 rows in 1 file(s) are intact" in one for one in verified) == 2
    for into in two_logs:
        with psycopg.connect(into) as conn:
            query = f"select {COLOUR} from audit.log where item_label = 'plain'".encode()
            assert conn.execute(query).fetchall() == [(None,)]
