"""Partitions of the log as years leave them, and rows in them."""

from datetime import UTC, datetime

import psycopg
from psycopg import sql

from tests.support.helpers import value


def write(conn: psycopg.Connection, moment: datetime) -> str:
    """Write a row of the log with its time, as only a superuser can; return its partition."""
    partition: str = value(
        conn,
        "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
        " db_role) values (%s, 'a', 't', '1', 'database', 'x', 'x')"
        " returning tableoid::regclass::text",
        moment,
    )
    return partition


def rebuild(conn: psycopg.Connection, installed: datetime, months: int = 24) -> None:
    """Give the log the partitions that it had if it was installed then, and never maintained.

    More `months` than those of the installation are what maintenance would have made.
    """
    for (name,) in conn.execute("select partition from audit.partition_list()").fetchall():
        conn.execute(sql.SQL("drop table {}").format(sql.Identifier("audit", name)))
    first = installed.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    until = value(conn, "select audit.interval_after(%s + %s * interval '1 month')", first, months)
    spares = datetime(installed.year + 4 + months // 12, 1, 1, tzinfo=UTC)
    conn.execute("select audit.add_partition('log_past', 'minvalue', %s)", [str(first)])
    conn.execute("select audit.fill_log(%s, %s, %s, %s)", [first, spares, until, spares])
    conn.execute("select audit.add_partition('log_future', %s, 'maxvalue')", [str(spares)])
