"""The command `auditdb downgrade`: takes the database back, as far as no row of the log is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.saying import outcome, say
from auditdb._upkeep import database, migrate


def downgrade(
    revision: Annotated[
        str,
        typer.Argument(
            metavar="REVISION",
            help="licensing@base takes the example away; audit@base everything, where the log is "
            "empty; or a revision to go back to.",
        ),
    ],
    url: Url = None,
) -> None:
    """Take the database back to a revision, in one transaction; rows of the log are never lost."""
    with outcome():
        where = database.resolve(url)
        undone = migrate.downgrade(where, revision)
        for title in undone:
            say(f"took back {title}")
        result = "was taken back" if undone else "has nothing to take back"
        say(f"{database.describe(where)} {result}.")
