"""Which columns of the log each reader of it has, as told by the reader itself."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

import psycopg

import auditdb
from auditdb._export import versions
from auditdb._query.rows import event_columns
from tests.support import ROOT
from tests.support.servers import Server

ITEM_VIEWS = [f"licensing.{kind}_log" for kind in ("license", "order", "customer", "product")]

STORED = ("era", "is_deleted", "layout", "row_values")
"""Columns of audit.log that say how a row is kept: what they stand for is in other columns."""

EXPORTS = "newest format version of exports"

COLOUR = "colour"
"""The column that the log gets in a scratch copy of sql/."""


def columns(conn: psycopg.Connection, relation: str) -> dict[str, str]:
    """Return the columns of a table or view in their order, each with its type."""
    rows = conn.execute(
        "select a.attname::text, a.atttypid::regtype::text from pg_attribute as a"
        " where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped"
        " order by a.attnum",
        [relation],
    )
    return dict(rows.fetchall())


def comments(conn: psycopg.Connection, relation: str) -> dict[str, str | None]:
    """Return the comment on each column of a table or view."""
    rows = conn.execute(
        "select a.attname::text, col_description(a.attrelid, a.attnum) from pg_attribute as a"
        " where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped",
        [relation],
    )
    return dict(rows.fetchall())


def _of_function(call: str) -> Callable[[psycopg.Connection], Iterable[str]]:
    def read(conn: psycopg.Connection) -> Iterable[str]:
        cursor = conn.execute(f"select * from {call}".encode())
        return [column.name for column in cursor.description or ()]

    return read


def _of_relation(name: str) -> Callable[[psycopg.Connection], Iterable[str]]:
    return lambda conn: columns(conn, name)


def _of_changes(conn: psycopg.Connection) -> Iterable[str]:
    # Each of its rows is one entry of this column.
    return {*columns(conn, "audit.changes"), "changes"}


def _of_event(_: psycopg.Connection) -> Iterable[str]:
    return [one.name.removesuffix("_json") for one in fields(auditdb.Event)]


def _of_json_lines(conn: psycopg.Connection) -> Iterable[str]:
    (event,) = auditdb.events(conn, limit=1).events
    return list(json.loads(event.as_json()))


def _of_selects(conn: psycopg.Connection) -> Iterable[str]:
    """Return what the helpers and `log --follow` select."""
    cursor = conn.execute(f"select {event_columns('occurred_at')} from audit.events".encode())
    return [column.name.removesuffix("_json") for column in cursor.description or ()]


READERS: dict[str, Callable[[psycopg.Connection], Iterable[str]]] = {
    "view audit.events": _of_relation("audit.events"),
    "view audit.changes": _of_changes,
    **{f"view {name}": _of_relation(name) for name in ITEM_VIEWS},
    "function audit.item_log": _of_function("audit.item_log('table', 'x')"),
    "function audit.tree_log": _of_function("audit.tree_log('table', 'x')"),
    "class auditdb.Event": _of_event,
    "selects of the helpers and of --follow": _of_selects,
    "JSON Lines of auditdb log": _of_json_lines,
    EXPORTS: lambda _: versions.CURRENT.columns,
}
"""By their names, what gives the columns of the log on."""


def check(conn: psycopg.Connection, reader: str) -> None:
    """Fail, naming the reader and the columns, where a reader lacks columns of the log."""
    has = set(READERS[reader](conn))
    log = columns(conn, "audit.log")
    free = versions.LEFT_OUT if reader == EXPORTS else STORED
    lacking = [name for name in log if name not in has and name not in free]
    assert lacking == [], f"{reader} lacks {', '.join(lacking)}"


def install_with_colour(
    server: Server, database: str, place: Path, *, is_shown: bool = False
) -> None:
    """Install a copy of sql/ into a database in which the log has one more column.

    Nothing but its table is told of it: the column with a comment, in sql/audit/tables/log.sql; and
    where it `is_shown`, the view audit.events.
    """
    shutil.copytree(ROOT / "sql", place)
    log = place / "audit" / "tables" / "log.sql"
    before = "  context     jsonb"
    text = log.read_text("utf-8")
    assert text.count(before) == 1
    text = text.replace(before, f"{before},\n  {COLOUR}      text")
    log.write_text(f"{text}comment on column audit.log.{COLOUR} is 'Colour of the row.';\n")
    if is_shown:
        view = place / "audit" / "views" / "events.sql"
        at = " as key\n"
        text = view.read_text("utf-8")
        assert text.count(at) == 1
        view.write_text(text.replace(at, f" as key,\n  l.{COLOUR}\n"))
    server.run("psql", "-X", "-q", "-d", database, "-f", str(place / "install.sql"))
