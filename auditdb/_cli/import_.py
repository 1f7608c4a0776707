"""The command `auditdb import`: brings an export back, into the log of another database."""

from __future__ import annotations

from auditdb._cli.arguments import Directory, Url
from auditdb._cli.progress import progress
from auditdb._cli.saying import outcome, say
from auditdb._export import importing
from auditdb._upkeep import database


def import_export(directory: Directory, url: Url = None) -> None:
    """Import an export as JSON Lines or Parquet into the log of another database."""
    with outcome(), progress() as bar:
        done = importing.run(database.resolve(url), directory, bar)
    say(f"{done.rows} rows, of which {done.new} were new.")
