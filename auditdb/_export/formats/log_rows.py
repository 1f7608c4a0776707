"""How SQL reads the rows that a format writes: nothing here knows the settings of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auditdb._export.versions import FormatVersion

# Put together by hand: what PostgreSQL makes of a time depends on the time zone and the date style.
_TIME = (
    "pg_catalog.to_char(l.{0} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    " || case when l.{0} < '0001-01-01 00:00:00+00' then ' BC' else '' end"
)
# What audit.events shows, without jsonb on the way.
_CHANGES = (
    "case when l.row_values is null then l.changes::pg_catalog.text"
    " else audit.record_text(l.layout, l.row_values, l.is_deleted) end"
)
_MICROSECONDS = "pg_catalog.trunc(extract(epoch from l.{0}) * 1000000)::pg_catalog.int8"


def time_text(name: str) -> str:
    """Return the SQL for a time as text, such as 2026-01-31T12:00:00.000000Z."""
    return _TIME.format(name)


def text(name: str) -> str:
    """Return the SQL for a column as text; changes are those that readers see."""
    return _CHANGES if name == "changes" else f"l.{name}::pg_catalog.text"


def microseconds(name: str) -> str:
    """Return the SQL for a time in microseconds since 1970."""
    return _MICROSECONDS.format(name)


def select(version: FormatVersion, cells: Iterable[str], where: sql.Composable) -> sql.Composable:
    """Return the select of `cells`, SQL on audit.log as l, in the order of exports."""
    order = ", ".join(f"l.{name}" for name in version.order)
    # The texts are made of names of columns and constants alone.
    return sql.SQL("select {} from audit.log as l where {} order by {}").format(
        sql.SQL(", ".join(cells)), where, sql.SQL(order)
    )
