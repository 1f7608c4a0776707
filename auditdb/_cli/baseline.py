"""The command `auditdb baseline`: tells the log the rows that are older than their tracking."""

from __future__ import annotations

from typing import Annotated

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.progress import progress
from auditdb._cli.saying import outcome, say
from auditdb._upkeep import baseline, database


def tell_rows(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A tracked table, such as sales.invoice.")
    ],
    batch: Annotated[
        int,
        typer.Option("--batch", metavar="ROWS", min=1, max=1_000_000, help="Rows a transaction."),
    ] = baseline.BATCH,
    pause: Annotated[
        float,
        typer.Option("--pause", metavar="SECONDS", min=0, help="How long to rest after a batch."),
    ] = 0.0,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", metavar="SECONDS", min=0, help="How long to try while others hold rows."
        ),
    ] = baseline.PATIENCE,
    url: Url = None,
) -> None:
    """Tell the log the rows of a table that it does not know, or go on where that broke off."""
    with outcome():
        where = database.resolve(url)
        with database.connect(where) as connection:
            try:
                with progress() as bar:
                    done = baseline.run(
                        connection, table, bar, batch=batch, patience=patience, pause=pause
                    )
            except KeyboardInterrupt:
                say("Interrupted. What was told stays; run the same command again to go on.")
                raise
        say(f"{table}: {done.seen} rows looked at, {done.told} told to the log.")
