"""The command `auditdb demo`: a licensing platform at work on a PostgreSQL of its own."""

from __future__ import annotations

from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from auditdb._cli import demo_page
from auditdb._cli.saying import outcome
from auditdb._cli.tables import Terminal
from auditdb._demo import embedded, setup, simulation
from auditdb._demo import world as demo_world
from auditdb._upkeep import database
from auditdb.errors import translated

# Lengths of what goes before the plan, in its unit.
_STARTING = 30
_UPGRADING = 30


def demo(
    scale: Annotated[int, typer.Option(min=1, metavar="N", help="So many times the data.")] = 1,
    reset: Annotated[bool, typer.Option("--reset", help="Begin with a new server.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the server; its data stay.")] = False,
) -> None:
    """Run a licensing platform on a PostgreSQL of its own and show the log of it."""
    if stop and reset:
        raise typer.BadParameter("--stop keeps the data, --reset deletes them: give one of them.")
    with outcome():
        if stop:
            _stop()
        else:
            _run(scale, reset, Terminal(highlight=False))


def _run(scale: int, reset: bool, console: Console) -> None:
    """Run the platform with `scale` times the work, and show its log on `console`.

    What was done before is kept, unless `reset`. The server is left running. Raises
    EmbeddedMissing, EmbeddedFailed, and errors of the database as AuditError.
    """
    talk = Console(stderr=True, highlight=False)
    server = embedded.find()
    with embedded.held(server), setup.suggesting_reset():
        began = monotonic()
        plan = simulation.scaled(scale)
        with _progress(talk) as progress:
            task = progress.add_task(
                "PostgreSQL 18 starts", total=plan.length + _STARTING + _UPGRADING
            )
            if reset:
                embedded.remove(server)
            embedded.start(server)
            progress.update(task, advance=_STARTING, description="Schemas are created")
            setup.prepare(server)
            progress.update(task, advance=_UPGRADING, description="Vendors set up their accounts")
            with (
                translated(),
                demo_world.opened(embedded.url(server, setup.DATABASE, setup.ROLE)) as world,
            ):
                for step in simulation.run(world, plan):
                    progress.update(task, advance=step.length, description=step.what)
        done, beats = world.tally["transactions"], world.tally["heartbeats"]
        _say(talk, f"The platform made {done:,} transactions ({monotonic() - began:.0f} s).")
        _say(talk, f"The {beats:,} heartbeats of devices in them are no actions, and left no row.")
        url = embedded.url(server, setup.DATABASE)
        with database.connect(url) as connection:
            license_id = demo_page.show(connection, console)
        demo_page.invite(console, url, server.wheel / "psql", license_id)
        _say(talk, f"The server goes on running, its data in {server.home}.")
        _say(talk, f"Stop it: auditdb demo --stop. {setup.BEGIN_ANEW}")


def _stop() -> None:
    """Stop the server of the demo and keep its data; raises as _run() does."""
    talk = Console(stderr=True, highlight=False)
    server = embedded.find()
    with embedded.held(server):
        did = embedded.stop(server)
    if did:
        _say(talk, f"The server is stopped. Its data stay in {server.home}.")
        _say(talk, "`auditdb demo` starts it again.")
    else:
        _say(talk, "The server was not running.")


def _progress(talk: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TimeElapsedColumn(),
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    )


def _say(talk: Console, words: str) -> None:
    talk.print(Text(words), soft_wrap=True)
