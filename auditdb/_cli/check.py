"""The command `auditdb check`: what is wrong with the log, each with the command that mends it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from auditdb._cli.tables import visible
from auditdb._cli.terminal import Terminal, Url, outcome, say
from auditdb._upkeep import database
from auditdb._upkeep.check import check as look

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auditdb._upkeep.check import Finding

_STYLES = {"error": "bold red", "warning": "bold yellow"}


def check(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON Lines, one for each finding.")
    ] = False,
    url: Url = None,
) -> None:
    """Look for what is wrong with the log; exit with 1 if anything is, and say what mends it."""
    with outcome():
        where = database.resolve(url)
        with database.connect(where) as connection:
            findings = look(connection)
        if as_json:
            for finding in findings:
                line = json.dumps(asdict(finding), ensure_ascii=True)
                sys.stdout.buffer.write(f"{line}\n".encode())
        elif findings:
            Terminal(highlight=False).print(_table(findings))
        else:
            typer.echo("All is well.")
        if findings:
            say(f"{database.describe(where)}: {_count(findings)}.")
            raise typer.Exit(1)


def _table(findings: Iterable[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("finding", overflow="fold")
    table.add_column("object", overflow="fold")
    table.add_column("what it means, and what mends it", overflow="fold", ratio=1)
    for found in findings:
        what = Text(visible(found.finding), style=_STYLES.get(found.severity, "bold"))
        what.append(f"\n{found.severity}", style="not bold")
        said = Text(visible(found.message))
        said.append(f"\n{visible(found.mend)}", style="green")
        table.add_row(what, Text(visible(found.object)), said)
    return table


def _count(findings: tuple[Finding, ...]) -> str:
    errors = sum(found.severity == "error" for found in findings)
    parts = [(errors, "error"), (len(findings) - errors, "warning")]
    return " and ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in parts if n)
