"""The command `auditdb maintain`: partitions ahead of time, and the old ones put to rest."""

from __future__ import annotations

from typing import Annotated

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.saying import outcome, say
from auditdb._upkeep import database, maintenance


def maintain(
    ahead: Annotated[
        int, typer.Option("--ahead", metavar="MONTHS", min=1, max=600, help="How far ahead.")
    ] = 24,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", metavar="SECONDS", min=0, help="How long to try while the log is in use."
        ),
    ] = maintenance.PATIENCE,
    url: Url = None,
) -> None:
    """Keep partitions of the log ahead of time, and put those whose time is over to rest."""
    with outcome():
        where = database.resolve(url)
        with database.connect(where) as connection:
            done = maintenance.maintain(
                connection, ahead=f"{ahead} months", patience=patience, tell=say
            )
        for reason in done.postponed:
            say(f"postponed {reason}")
        changes = f"{done.changes} change{'' if done.changes == 1 else 's'}"
        say(
            f"{database.describe(where)}: {changes} to partitions, {len(done.closed)} closed, "
            f"{len(done.postponed)} postponed."
        )
