"""The command `auditdb check`: what is wrong with the log, each with the command that fixes it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.saying import outcome, say, visible
from auditdb._upkeep import database
from auditdb._upkeep.check import SEVERITIES, is_at_least
from auditdb._upkeep.check import check as look

if TYPE_CHECKING:
    from auditdb._upkeep.finding import Finding


FailOn = Literal["error", "warning"]


def check(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON Lines, one for each finding.")
    ] = False,
    fail_on: Annotated[
        FailOn,
        typer.Option("--fail-on", help="From which findings on to exit with 1."),
    ] = "error",
    is_thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="Compile each declaration anew, and count closed partitions: slow."
        ),
    ] = False,
    url: Url = None,
) -> None:
    """Look for what is wrong with the log, say what fixes it, and exit with 1 on errors."""
    with outcome():
        where = database.resolve(url)
        with database.connect(where) as connection:
            findings = look(connection, severity="info", thorough=is_thorough)
        if as_json:
            for finding in findings:
                line = json.dumps(asdict(finding), ensure_ascii=True)
                sys.stdout.buffer.write(f"{line}\n".encode())
        else:
            _show(findings)
        if any(found.severity != "info" for found in findings):
            say(f"{database.describe(where)}: {_count(findings)}.")
        if any(is_at_least(found.severity, fail_on) for found in findings):
            raise typer.Exit(1)


def _show(findings: tuple[Finding, ...]) -> None:
    wrong = [found for found in findings if found.severity != "info"]
    if wrong:
        # Here, so that a log that is well is checked without what draws tables.
        from auditdb._cli import tables

        tables.Terminal(highlight=False).print(tables.findings_table(wrong))
    for found in findings:
        if found.severity == "info":
            typer.echo(visible(f"{found.finding}: {found.object}: {found.message}"))
            if found.mend:
                typer.echo(visible(f"  {found.mend}"))
    if not wrong:
        typer.echo("All is well.")


def _count(findings: tuple[Finding, ...]) -> str:
    numbers = [sum(found.severity == one for found in findings) for one in SEVERITIES[:2]]
    parts = zip(numbers, ("error", "warning"), strict=True)
    return " and ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in parts if n)
