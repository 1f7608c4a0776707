"""The command `auditdb current`: where the database stands on each branch of the migrations."""

from __future__ import annotations

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.saying import outcome, say
from auditdb._upkeep import database, migrate
from auditdb.errors import UPGRADE_HINT


def current(url: Url = None) -> None:
    """Print the revision of each branch; exit with 1 if the database is behind."""
    with outcome():
        with database.connect(database.resolve(url), accept="any") as connection:
            state = migrate.current(connection)
        for branch in state.branches:
            standing = f"head is {branch.head}" if branch.missing else "up to date"
            typer.echo(f"{branch.name}: {branch.current or 'not installed'} ({standing})")
        for revision in state.unknown:
            say(f"{revision} is unknown here: the database was upgraded by a newer auditdb.")
        for title in state.missing:
            say(f"missing: {title}")
        if state.missing:
            say(f"The database is behind. {UPGRADE_HINT}")
        if state.missing or state.unknown:
            raise typer.Exit(1)
