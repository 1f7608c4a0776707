"""Rows on their way into a log: sent as lines to a temporary table, from where SQL takes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export import reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import psycopg

    from auditdb._export.formats.base import Form
    from auditdb._export.versions import FormatVersion

BATCH = 10_000
"""Rows that are sent to the database at a time, at most."""
BATCH_BYTES = 16 << 20
"""The most characters of text that rows are gathered up to."""

INCOMING = "create temporary table incoming (number bigint, line jsonb) on commit drop"
"""The table that rows are sent to: the number of each in its file, and what it says."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, one after another."""

    first: int
    """The number of the first, from 1 on."""
    lines: list[str]
    moments: list[int] = field(default_factory=list)
    """When each of them was, in microseconds since 1970."""

    def part(self, begin: int, end: int) -> Batch:
        """Return some of the rows, by their places."""
        return Batch(self.first + begin, self.lines[begin:end], self.moments[begin:end])


def batches(path: Path, form: Form) -> Iterator[Batch]:
    """Yield the rows of a file in their order, so many at a time as are sent at once."""
    moments: list[int] = []

    def noted() -> Iterator[str]:
        for row in reader.rows(path, form):
            moments.append(row.key.moment)
            yield row.line

    for batch in _gathered(noted()):
        yield replace(batch, moments=moments.copy())
        moments.clear()


def batches_again(path: Path, form: Form) -> Iterator[Batch]:
    """Yield the same batches of a file that was read before, without the times of their rows."""
    return _gathered(reader.lines(path, form))


def _gathered(lines: Iterator[str]) -> Iterator[Batch]:
    first, size = 1, 0
    gathered: list[str] = []
    for line in lines:
        gathered.append(line)
        size += len(line)
        if len(gathered) >= BATCH or size >= BATCH_BYTES:
            yield Batch(first, gathered)
            first += len(gathered)
            gathered, size = [], 0
    if gathered:
        yield Batch(first, gathered)


def send(connection: psycopg.Connection[Any], batch: Batch) -> None:
    """Send rows to the temporary table."""
    with (
        connection.cursor() as cursor,
        cursor.copy("copy pg_temp.incoming (number, line) from stdin") as copy,
    ):
        # Control characters are escaped in JSON, so that COPY has nothing but this to escape.
        text = "".join([f"{n}\t{line}\n" for n, line in enumerate(batch.lines, batch.first)])
        copy.write(text.replace("\\", "\\\\"))


TRIAL = (
    "create temporary table trial (like audit.log including indexes including defaults)"
    " on commit drop"
)
"""A table of the columns and indexes of the log."""

# What is in its indexes, and in those of its summaries.
_KEYS = (
    *("account_id", "item_type", "item_id", "parent_type", "parent_id"),
    *("actor_type", "actor_id"),
)
_SAME_ROW = """
l.account_id = i.line ->> 'account_id'
  and l.occurred_at = (i.line ->> 'occurred_at')::timestamptz
  and l.id = (i.line ->> 'id')::bigint
  and l.tx = (i.line ->> 'tx')::bigint
"""
_INSERT = """
with added as (
  insert into audit.log ({names}, era)
  select {cells}, %(era)s
  from pg_temp.incoming as i
  -- Asked row by row, so that each is one index probe in one partition.
  where not coalesce((select true from audit.log as l where {same} limit 1), false)
  order by i.number
  returning 1
)
select count(*) from added
"""
# Layouts may be the same under other numbers.
_DIFFERING = """
select l.id, l.occurred_at::text
from pg_temp.incoming as i
join audit.log as l on {same}
where ({theirs}) is distinct from ({cells})
  and (({theirs_else}) is distinct from ({cells_else})
    or (select (y.table_name, y.columns, y.secret) from audit.layout as y where y.id = l.layout)
      is distinct from
      (select (y.table_name, y.columns, y.secret) from audit.layout as y where y.id = {layout}))
limit 1
"""
# Verifying has looked at every value, but does not know what fits an index: entries are compressed.
_TRY = """
insert into pg_temp.trial ({names})
select {cells}
from pg_temp.incoming as i
where octet_length(concat({keys})) > 1000
"""
_MISREAD = """
select i.number
from pg_temp.incoming as i
where i.line ->> 'row_values' is not null
  and audit.record_changes({layout}, i.line ->> 'row_values', (i.line ->> 'is_deleted')::boolean)
    is distinct from i.line -> 'changes'
order by i.number
limit 1
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """How rows of a format version get into the log; a column that it has not takes its default."""

    insert: sql.Composed
    """Adds the incoming rows that are not there; returns how many."""
    differing: sql.Composed
    """Finds a row that is there with other content."""
    attempt: sql.Composed
    """Does to the incoming rows all that can fail, and adds none."""
    misread: sql.Composed
    """Finds a row whose record stands for something else than it says."""

    @classmethod
    def of(cls, version: FormatVersion, layouts: Mapping[int, int]) -> Statements:
        """Return the statements for rows whose layouts have these numbers in the log."""
        numbers = json.dumps({str(theirs): ours for theirs, ours in layouts.items()})
        layout = sql.SQL("({}::jsonb ->> (i.line ->> 'layout'))::integer").format(numbers)
        # The names and types are constants of this package.
        cells = {
            name: layout if name == "layout" else sql.SQL(_cell(name, kind))
            for name, kind in version.columns.items()
        }
        texts = {
            "same": sql.SQL(_SAME_ROW),
            "layout": layout,
            "names": sql.SQL(", ".join(cells)),
            "cells": sql.SQL(", ").join(cells.values()),
            "keys": sql.SQL(", ").join(cells[name] for name in _KEYS),
            "theirs": sql.SQL(", ".join(f"l.{name}" for name in cells)),
            "cells_else": sql.SQL(", ").join(
                cell for name, cell in cells.items() if name != "layout"
            ),
            "theirs_else": sql.SQL(", ".join(f"l.{name}" for name in cells if name != "layout")),
        }
        return cls(
            sql.SQL(_INSERT).format(**texts),
            sql.SQL(_DIFFERING).format(**texts),
            sql.SQL(_TRY).format(**texts),
            sql.SQL(_MISREAD).format(**texts),
        )


def _cell(name: str, kind: str) -> str:
    if kind == "jsonb":
        cell = f"nullif(i.line -> '{name}', 'null'::jsonb)"
        # What a record stands for is not kept beside it.
        return (
            f"case when i.line ->> 'row_values' is null then {cell} end"
            if name == "changes"
            else cell
        )
    return f"(i.line ->> '{name}')" + ("" if kind == "text" else f"::{kind}")
