"""The command `auditdb undo`: shows what it takes to undo something, and with --run does it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from auditdb._cli.arguments import Url, parse_actor, parse_item, parse_time
from auditdb._cli.saying import outcome, say
from auditdb._query import undoing
from auditdb._upkeep import database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditdb._connection.own import OwnConnection

_SET_ACTOR = "select audit.set_actor(%s::text, %s::text, null::text, %s::text)"


def undo_changes(
    transaction: Annotated[
        int | None,
        typer.Option("--transaction", metavar="TX", help="What a transaction did, by its number."),
    ] = None,
    era: Annotated[
        int | None, typer.Option(metavar="N", help="Which one, where several have the number.")
    ] = None,
    event: Annotated[
        str | None, typer.Option(metavar="KEY", help="What one event did, by its key.")
    ] = None,
    item: Annotated[
        str | None, typer.Option(metavar="TYPE:ID", help="What was done to an item since --at.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --item: the time that it goes back to; ISO or 7d."),
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Do it; without, it is only shown.")] = False,
    on_conflict: Annotated[
        Literal["stop", "skip", "force"],
        typer.Option(help="What to do with rows that were changed since, or cannot be restored."),
    ] = "stop",
    by: Annotated[
        str | None, typer.Option(metavar="TYPE:ID", help="With --run: who undoes, for the log.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --run: why, for the log.")
    ] = None,
    as_json: Annotated[
        bool | None,
        typer.Option(
            "--json/--text", help="JSON Lines, or a table for people, as by default in a terminal."
        ),
    ] = None,
    url: Url = None,
) -> None:
    """Show what it takes to undo a transaction, an event or what was done to an item, or do it."""
    if sum(one is not None for one in (transaction, event, item)) != 1 or (item is None) != (
        at is None
    ):
        raise typer.BadParameter("give one of --transaction, --event, or --item with --at.")
    if run and by is None:
        raise typer.BadParameter("an undo needs an actor: add --by TYPE:ID.", param_hint="--run")
    asked: dict[str, Any] = {
        "tx": transaction,
        "era": era,
        "event": event,
        "item": parse_item(item),
        "at": parse_time(at, "--at"),
    }
    actor = None if by is None else parse_actor(by)
    with outcome(), database.connect(database.resolve(url)) as connection:
        with connection.transaction():
            steps = undoing.undo_plan(connection, **asked)
        _show(steps, as_json=as_json)
        against = sum(step.conflict is not None or step.restorable == "no" for step in steps)
        whole = f"{len(steps)} step{'' if len(steps) == 1 else 's'}"
        in_the_way = f"{against} with a conflict or not restorable" if against else "none refused"
        say(f"{whole}, {in_the_way}.")
        if run and actor is not None:
            count = _run(connection, actor, reason, {**asked, "on_conflict": on_conflict})
            say(f"{count} of {whole} undone.")


def _run(
    connection: OwnConnection, actor: tuple[str, str], reason: str | None, asked: dict[str, Any]
) -> int:
    """Undo in one transaction; the tables' own triggers get the search_path of the role."""
    context = {} if reason is None else {"reason": reason}
    with connection.transaction():
        connection.execute(_SET_ACTOR, (*actor, json.dumps(context)))
        connection.execute("set local search_path to default")
        return undoing.undo(connection, **asked)


def _show(steps: Sequence[undoing.UndoStep], *, as_json: bool | None) -> None:
    """Print the steps: as JSON Lines, as a table, or for None as stdout wants it."""
    if not as_json:
        # Here, so that programs that read JSON Lines do not pay for what draws tables.
        from auditdb._cli import tables

        console = tables.Terminal(highlight=False)
        if as_json is False or console.is_terminal:
            console.print(tables.undo_table(steps))
            return
    for step in steps:
        sys.stdout.buffer.write(f"{step.as_json()}\n".encode())
    sys.stdout.buffer.flush()
