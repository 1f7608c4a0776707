"""The columns of an export, format version 1: fixed, in order, and how SQL writes each of them."""

from __future__ import annotations

import re

from psycopg import sql

VERSION = 1
"""Raised with every change of columns, their order or their form."""

COLUMNS = {
    "id": "bigint",
    "tx": "bigint",
    "occurred_at": "timestamptz",
    "account_id": "text",
    "action": "text",
    "item_type": "text",
    "item_id": "text",
    "item_label": "text",
    "parent_type": "text",
    "parent_id": "text",
    "actor_type": "text",
    "actor_id": "text",
    "actor_label": "text",
    "db_role": "text",
    "application": "text",
    "is_cascade": "boolean",
    "changes": "jsonb",
    "context": "jsonb",
}
"""Name and type of each column, as in audit.log."""

ORDER = ("occurred_at", "id", "account_id")
"""What rows are sorted by; account_id tells apart rows that came from several logs."""

# Nothing here knows the session: the time is put together by hand.
_TIME = (
    "pg_catalog.to_char(l.occurred_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    " || case when l.occurred_at < '0001-01-01 00:00:00+00' then ' BC' else '' end"
)
_MICROSECONDS = "pg_catalog.trunc(extract(epoch from l.occurred_at) * 1000000)::pg_catalog.int8"
# What spreadsheets run, also in the full width of East Asian keyboards. After a semicolon, a tab or
# a line break too, quoted or not: a spreadsheet that separates by those begins a cell there.
_SIGNS = r"=+@\uFF1D\uFF0B\uFF0D\uFF20-"
_BREAKS = r"\t\r\n"
_BEGINS = f'((?:^|[;{_BREAKS}])[ "]*)'
_GUARDED = (
    "pg_catalog.regexp_replace(pg_catalog.regexp_replace({0},"
    f" '{_BEGINS}([{_SIGNS}])', '\\1''\\2', 'g'), '^([{_BREAKS}])', '''\\1')"
)
_SORTED = "from audit.log as l where {where} order by l.occurred_at, l.id, l.account_id"


def unguarded(cell: str) -> str:
    """Return what a cell of a spreadsheet was before the apostrophes that keep it from being run.

    >>> unguarded("'=1+2")
    '=1+2'
    """
    cell = re.sub(f"^'([{_BREAKS}])", r"\1", cell)
    return re.sub(f"{_BEGINS}'([{_SIGNS}])", r"\1\2", cell)


def csv_query(where: sql.Composable, *, spreadsheet: bool) -> sql.Composed:
    """Return the COPY of rows as CSV; with `spreadsheet` no cell of text begins a formula."""
    cells = []
    for name, kind in COLUMNS.items():
        cell = f"l.{name}::pg_catalog.text" if kind in ("boolean", "jsonb") else f"l.{name}"
        if name == "occurred_at":
            cell = _TIME
        elif spreadsheet and kind in ("text", "jsonb"):
            cell = _GUARDED.format(cell)
        cells.append(cell)
    inner = _select(", ".join(cells), where)
    return sql.SQL("copy ({}) to stdout with (format csv)").format(inner)


def json_query(where: sql.Composable) -> sql.Composed:
    """Return the COPY of rows as one line of JSON each."""
    cells = []
    for name in COLUMNS:
        cell = f"l.{name}::pg_catalog.text" if name in ("id", "tx") else f"l.{name}"
        cells.append(f"{_TIME if name == 'occurred_at' else cell} as {name}")
    inner = _select(", ".join(cells), where)
    # JSON escapes control characters, so that with these two CSV has nothing to quote.
    return sql.SQL(
        "copy (select pg_catalog.row_to_json(r) from ({}) as r) to stdout"
        " with (format csv, quote E'\\x01', delimiter E'\\x02')"
    ).format(inner)


def typed_query(where: sql.Composable) -> sql.Composed:
    """Return the COPY of rows as values of their types; the time in microseconds since 1970."""
    cells = []
    for name, kind in COLUMNS.items():
        cell = f"l.{name}::pg_catalog.text" if kind in ("text", "jsonb") else f"l.{name}"
        cells.append(_MICROSECONDS if name == "occurred_at" else cell)
    inner = _select(", ".join(cells), where)
    return sql.SQL("copy ({}) to stdout with (format binary)").format(inner)


TYPED = [
    {"bigint": "int8", "timestamptz": "int8", "boolean": "bool"}.get(kind, "text")
    for kind in COLUMNS.values()
]
"""The types of the columns of typed_query()."""


def _select(cells: str, where: sql.Composable) -> sql.Composable:
    text = f"select {cells} {_SORTED}".replace("{where}", "\0")
    head, tail = text.split("\0")
    return sql.Composed([_plain(head), where, _plain(tail)])


def _plain(text: str) -> sql.Composable:
    # Made of constants of this module alone.
    return sql.SQL(text)
