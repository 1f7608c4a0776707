"""Sets up postgresql-audit on the tables of a workload: URL, workload, `statement` or `row`."""

from __future__ import annotations

import sys

import sqlalchemy as sa
from postgresql_audit import VersioningManager
from sqlalchemy.orm import configure_mappers, declarative_base

from benchmarks.systems import TABLES, UNRECORDED


def install(url: str, workload: str, level: str) -> None:
    """Make its tables and functions, and call its audit_table() for each table."""
    base = declarative_base()
    manager = VersioningManager(use_statement_level_triggers=level == "statement")
    manager.init(base)
    configure_mappers()
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    excluded = list(UNRECORDED) if workload == "licenses" else []
    with engine.begin() as connection:
        base.metadata.create_all(connection)
        for table in TABLES[workload]:
            connection.execute(
                sa.text("select audit_table(cast(:table as regclass), cast(:excluded as text[]))"),
                {"table": table, "excluded": excluded},
            )
    engine.dispose()


if __name__ == "__main__":
    install(*sys.argv[1:])
