"""Conditions on rows of audit.log, with their values in them: COPY takes no parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from auditdb._connection.runner import PARAMETER

if TYPE_CHECKING:
    from auditdb._query.filters import Filter


def all_of(conditions: list[sql.Composable]) -> sql.Composable:
    """Return the conjunction of `conditions`; true where there is none."""
    return sql.SQL(" and ").join(conditions) if conditions else sql.SQL("true")


def of_filter(wanted: Filter) -> sql.Composable:
    """Return the condition that a row is wanted."""
    values = wanted.values
    # The pattern has one group: what is odd is the name of a parameter.
    parts = enumerate(PARAMETER.split(wanted.condition()))
    return sql.Composed(
        [sql.Literal(values[part]) if n % 2 else sql.SQL(part) for n, part in parts]
    )
