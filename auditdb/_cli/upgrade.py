"""The command `auditdb upgrade`: brings the database up to date, or prints the SQL that does."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.saying import outcome, say
from auditdb._upkeep import database, migrate, repair

PartitionInterval = Literal["month", "quarter", "year"]


def upgrade(
    revision: Annotated[
        str | None,
        typer.Argument(
            metavar="[REVISION]",
            help="licensing@head: the example too; or a revision. By default the newest engine, "
            "and the newest example where the database has it.",
        ),
    ] = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL for psql -1 instead of running it.")
    ] = False,
    partitions: Annotated[
        PartitionInterval | None,
        typer.Option("--partitions", help="For a new log: what a partition of it spans."),
    ] = None,
    is_repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Before, put code, views and rights back as they were installed."
        ),
    ] = False,
    url: Url = None,
) -> None:
    """Bring the database up to date, in one transaction."""
    if sql and is_repair:
        raise typer.BadParameter("--sql asks no database, so it cannot --repair one.")
    with outcome():
        if sql:
            typer.echo(migrate.script(revision, partition_interval=partitions), nl=False)
            return
        where = database.resolve(url)
        if is_repair:
            for name in repair.run(where):
                say(f"repaired {name}")
        ran = migrate.upgrade(where, revision, partition_interval=partitions)
        for title in ran:
            say(f"upgraded to {title}")
        say(f"{database.describe(where)} {'was upgraded' if ran else 'is up to date'}.")
        if missing := migrate.missing_roles(where):
            say("This role may create no roles. For readers of the log, let a DBA run:")
            for statement in missing:
                say(statement)
