"""A job for the night: marks invoices as overdue, as itself, and exports what is new in the log.

    psql -f examples/invoices.sql "$AUDITDB_URL"
    python examples/nightly_job.py exports/2026-12-01

Run it with a new directory each night. A night that was broken off is resumed with the same one.
"""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

import auditdb


def mark_overdue(url: str) -> int:
    """Mark the open invoices that are due; return how many there were."""
    with psycopg.connect(url) as connection:
        auditdb.instrument(connection)
        with auditdb.actor("system", "nightly-job", reason="the due date has passed"):
            return connection.execute(
                "update invoice set status = 'overdue' where status = 'open' and due < current_date"
            ).rowcount


def overdue_since_yesterday(url: str) -> list[str]:
    """Return the numbers of the invoices that the log says became overdue in the last day."""
    with psycopg.connect(url) as connection:
        return [
            str(number)
            for (number,) in connection.execute(
                "select item_label from audit.events"
                " where action = 'invoice_overdue' and occurred_at > now() - interval '1 day'"
                " order by occurred_at, id, tx"
            )
        ]


def export(url: str, directory: Path) -> None:
    """Export what came into the log since the last night, and verify what was written."""
    state = directory.parent / "since.json"
    for command in (
        ["export", str(directory), "--format", "jsonl", "--since-last", str(state)],
        ["verify", str(directory)],
    ):
        environment = {**os.environ, "AUDITDB_URL": url}
        subprocess.run([sys.executable, "-m", "auditdb", *command], env=environment, check=True)


def main() -> None:
    """Do all of it, for the database in AUDITDB_URL and the directory in the first argument."""
    url, directory = os.environ["AUDITDB_URL"], Path(sys.argv[1])
    marked = mark_overdue(url)
    print(f"{marked} marked: {', '.join(overdue_since_yesterday(url))}", flush=True)
    export(url, directory)


if __name__ == "__main__":
    main()
