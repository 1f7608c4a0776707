"""Conditions on rows of audit.log, with their values in them: COPY takes no parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from auditdb._query.runner import Query

if TYPE_CHECKING:
    from auditdb._query.filters import Filter


def all_of(conditions: list[sql.Composable]) -> sql.Composable:
    """Return the conjunction of `conditions`; true where there is none."""
    return sql.SQL(" and ").join(conditions) if conditions else sql.SQL("true")


def of_filter(wanted: Filter) -> sql.Composable:
    """Return the condition that a row is wanted."""
    return Query(wanted.condition(), wanted.values).with_values()
