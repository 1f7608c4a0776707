"""The command `auditdb verify`: proves that an export is what was exported."""

from __future__ import annotations

import typer

from auditdb._cli.arguments import Directory, LongestRow
from auditdb._cli.saying import outcome, say
from auditdb._export import verify
from auditdb._export.formats.base import LONGEST


def verify_export(directory: Directory, longest_row: LongestRow = LONGEST >> 20) -> None:
    """Verify an export without a database; exit with 1 and say what differs, if anything does."""
    with outcome():
        found = verify.directory(directory, longest=longest_row << 20)
    for mismatch in found.mismatches:
        say(mismatch)
    if found.mismatches:
        raise typer.Exit(1)
    typer.echo(f"{found.manifest.rows} rows in {len(found.manifest.files)} file(s) are intact.")
    typer.echo(f"sha256 {found.manifest.sha256}")
