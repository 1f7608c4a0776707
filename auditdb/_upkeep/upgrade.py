"""Brings a database up to date, for applications: Alembic is loaded when it is called."""

from __future__ import annotations


def upgrade(
    url: str, revision: str = "audit@head", *, partition_interval: str | None = None
) -> tuple[str, ...]:
    """Bring the database at `url` to `revision`, in one transaction; return the revisions run.

    `url` is one of libpq or SQLAlchemy: postgresql://, postgres://, postgresql+psycopg://. By
    default the log becomes as this auditdb needs it; `heads` brings the example too. Tables that
    are tracked already get their triggers recompiled, and the log partitions ahead of time if
    nobody uses it right then. `partition_interval`, for a new log, is what a partition spans:
    month (the default), quarter or year. Who comes second waits, and finds nothing left to do.

    Raises InvalidUrl, DatabaseUnreachable, MigrationFailed for a revision that does not exist and
    for an interval that is not that of the log there is, ValueError for what is no interval, and
    other errors of the database as AuditError.

    >>> auditdb.upgrade(url)
    ()
    """
    from auditdb._upkeep import database, migrate

    return migrate.upgrade(database.resolve(url), revision, partition_interval=partition_interval)
