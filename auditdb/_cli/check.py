"""The command `auditdb check`: what is wrong with the log, each with the command that fixes it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from auditdb._cli.arguments import Url
from auditdb._cli.saying import outcome, say
from auditdb._upkeep import database
from auditdb._upkeep.check import check as look

if TYPE_CHECKING:
    from auditdb._upkeep.check import Finding


def check(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON Lines, one for each finding.")
    ] = False,
    url: Url = None,
) -> None:
    """Look for what is wrong with the log; exit with 1 if anything is, and say what fixes it."""
    with outcome():
        where = database.resolve(url)
        with database.connect(where) as connection:
            findings = look(connection)
        if as_json:
            for finding in findings:
                line = json.dumps(asdict(finding), ensure_ascii=True)
                sys.stdout.buffer.write(f"{line}\n".encode())
        elif findings:
            # Here, so that a log that is well is checked without what draws tables.
            from auditdb._cli import tables

            tables.Terminal(highlight=False).print(tables.findings_table(findings))
        else:
            typer.echo("All is well.")
        if findings:
            say(f"{database.describe(where)}: {_count(findings)}.")
            raise typer.Exit(1)


def _count(findings: tuple[Finding, ...]) -> str:
    errors = sum(found.severity == "error" for found in findings)
    parts = [(errors, "error"), (len(findings) - errors, "warning")]
    return " and ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in parts if n)
