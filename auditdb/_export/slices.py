"""Cuts what is to be exported into files and slices: the same rows are always cut the same way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export import read_transaction
from auditdb._export.conditions import all_of, of_filter
from auditdb._query import page_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from auditdb._query.filters import Filter

SLICE = 50_000
"""Rows that a slice is filled up to, by whole hours; an hour is never cut."""

_PARTITIONS = """
select b.name, b.lower, b.upper
from (
  select c.relname::text as name,
    substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \\(''([^'']+)''\\)') as lower,
    substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([^'']+)''\\)') as upper
  from pg_partition_tree('audit.log'::regclass) as t
  join pg_class as c on c.oid = t.relid
  where t.isleaf and c.relispartition
) as b
where coalesce(b.upper::timestamptz > %(since)s::timestamptz, true)
  and coalesce(b.lower::timestamptz < %(until)s::timestamptz, true)
order by b.lower::timestamptz nulls first
"""
_HOURS = """
select date_trunc('month', h.hour)::text, h.hour::text, (h.hour + interval '1 hour')::text,
  sum(h.rows)::bigint,
  coalesce(array_agg(distinct h.layout) filter (where h.layout is not null), '{{}}'),
  array_agg(distinct h.action)
from (
  select date_trunc('hour', l.occurred_at) as hour, l.layout, l.action, count(*) as rows
  from audit.log as l
  where {}
  group by 1, 2, 3
) as h
group by h.hour
order by h.hour
"""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some hours of the log, read in one statement."""

    first: str
    """The first hour, as PostgreSQL reads it."""
    end: str
    """The end of the last hour."""
    rows: int


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to write, and what goes into it."""

    name: str
    slices: tuple[Slice, ...]

    @property
    def rows(self) -> int:
        """How many rows the file will have."""
        return sum(part.rows for part in self.slices)

    def as_json(self) -> dict[str, Any]:
        """Return what from_json() reads."""
        return {"name": self.name, "slices": [[s.first, s.end, s.rows] for s in self.slices]}


def from_json(found: Any) -> PlannedFile:
    """Return the file that as_json() wrote."""
    return PlannedFile(found["name"], tuple(Slice(*part) for part in found["slices"]))


@dataclass(frozen=True, slots=True)
class _Hour:
    partition: str
    month: str
    first: str
    end: str
    rows: int
    layouts: list[int]
    actions: list[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be exported."""

    files: tuple[PlannedFile, ...]
    layouts: tuple[int, ...]
    """The numbers of the layouts that its rows name."""
    actions: tuple[str, ...]
    """The actions that its rows are about."""


def make(
    connection: psycopg.Connection[Any],
    wanted: Filter,
    condition: sql.Composable,
    *,
    suffix: str,
    per_partition: bool,
    row_security: bool,
) -> Plan:
    """Count the rows of `wanted` that meet `condition`, and return the files for them.

    One statement counts one partition. There is always a file, if an empty one.
    """
    with read_transaction.reading(connection, row_security=row_security):
        reach = {
            name: None if moment is None else page_cursor.to_text(moment)
            for name, moment in (("since", wanted.since), ("until", wanted.until))
        }
        partitions = connection.execute(_PARTITIONS, reach).fetchall()
    hours: list[_Hour] = []
    for name, lower, upper in partitions:
        where = all_of([*_bounds(lower, upper), of_filter(wanted), condition])
        with read_transaction.reading(connection, row_security=row_security):
            counted = connection.execute(sql.SQL(_HOURS).format(where)).fetchall()
        hours += [_Hour(name, *row) for row in counted]
    files = _files(hours, suffix, per_partition=per_partition)
    return Plan(
        files,
        tuple(sorted({number for hour in hours for number in hour.layouts})),
        tuple(sorted({action for hour in hours for action in hour.actions})),
    )


def _files(hours: Sequence[_Hour], suffix: str, *, per_partition: bool) -> tuple[PlannedFile, ...]:
    if not per_partition or not hours:
        return (PlannedFile(f"log{suffix}", tuple(_slices(hours))),)
    names = list(dict.fromkeys(hour.partition for hour in hours))
    return tuple(
        PlannedFile(
            re.sub(r"[^\w-]", "_", name) + suffix,
            tuple(_slices([hour for hour in hours if hour.partition == name])),
        )
        for name in names
    )


def bounds(part: Slice) -> list[sql.Composable]:
    """Return the conditions that a row is in a slice."""
    return _bounds(part.first, part.end)


def _bounds(lower: str | None, upper: str | None) -> list[sql.Composable]:
    return [
        sql.SQL("l.occurred_at {} {}::timestamptz").format(sign, bound)
        for sign, bound in ((sql.SQL(">="), lower), (sql.SQL("<"), upper))
        if bound is not None
    ]


def _slices(hours: Sequence[_Hour]) -> Iterator[Slice]:
    # At every month a new one begins, however the log is partitioned today.
    gathered: list[_Hour] = []
    rows = 0
    for hour in hours:
        if gathered and (rows + hour.rows > SLICE or hour.month != gathered[0].month):
            yield Slice(gathered[0].first, gathered[-1].end, rows)
            gathered, rows = [], 0
        gathered.append(hour)
        rows += hour.rows
    if gathered:
        yield Slice(gathered[0].first, gathered[-1].end, rows)
