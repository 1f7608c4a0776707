"""Prints what auditing costs a writer in instructions, which no load can blur.

Runs `valgrind --tool=callgrind postgres --single` on each design and counts from one part of a
script to the next.

    python -m benchmarks.instructions [--pg 18] [--pg 15] [--write-reference]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import psycopg

from benchmarks import cost
from benchmarks.counting import MARK, between_marks, has_valgrind, stopped
from tests.support.servers import Server, installed, running


def table(version: int, costs: cost.Costs) -> list[str]:
    """Return a Markdown table."""
    lines = [
        f"PostgreSQL {version}, thousands of instructions for a statement:",
        "",
        "| statement | unaudited | floor | auditdb | added | ratio to the floor |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for title, of in costs.items():
        over = {design: value - of["unaudited"] for design, value in of.items()}
        lines.append(
            f"| {title} | {of['unaudited']:.0f} | {of['floor']:.0f} | {of['auditdb']:.0f} | "
            f"+{over['auditdb']:.0f} | {over['auditdb'] / over['floor']:.2f} |"
        )
    return lines


def plain(server: Server) -> dict[str, str]:
    """Return plain statements that write to the log what a bulk insert makes triggers write."""
    with psycopg.connect(server.url("auditdb")) as connection:
        found = connection.execute(
            "select prosrc from pg_proc where oid = 'audit.licensing_licenses_insert'::regproc"
        ).fetchone()
    assert found
    body = re.search(r"insert into audit\.log.*?;\n", found[0], re.DOTALL)
    assert body
    built = body[0].rstrip(";\n")
    rows = f"(select * from licensing.licenses order by id limit {cost.BULK.count})"
    for variable, value in {
        "_audit.v_actor_type": "'platform_user'",
        "_audit.v_actor_id": "'42'",
        "_audit.v_actor_label": "'ana@example.com'",
        "_audit.v_on_behalf_of_type": "null",
        "_audit.v_on_behalf_of_id": "null",
        "_audit.v_on_behalf_of_label": "null",
        "_audit.v_context": "null",
        "new_rows": rows,
    }.items():
        built = built.replace(variable, value)
    columns = built[built.index("(") + 1 : built.index(")")]
    copied = (
        f"insert into audit.log ({columns}) select {columns} from audit.log "
        f"where action = 'license_created' limit {cost.BULK.count}"
    )
    return {"built": " ".join(built.split()), "copied": " ".join(copied.split())}


def compare_with_plain(server: Server, statements: dict[str, str], costs: cost.Costs) -> list[str]:
    """Return what the triggers add to a bulk insert, against statements that do only that."""
    lines = [part for line in statements.values() for part in [line, f"select {MARK}(0)"] * 2]
    with stopped(server):
        counted = between_marks(server, "auditdb", lines)[1::2]
    bulk = costs[cost.BULK.title]
    over = bulk["auditdb"] - bulk["unaudited"]
    return [
        f"One `insert into audit.log select …` of the same rows, {title}: {value:.0f} for each; "
        f"the triggers add {over / value:.2f} of that."
        for title, value in zip(
            statements, (n / cost.BULK.count / 1000 for n in counted), strict=True
        )
    ]


def report(server: Server) -> tuple[list[str], dict[str, dict[str, float]]]:
    """Measure one version; return the lines to print, and what to keep as the reference."""
    measured = cost.measure(server, tuple(cost.DESIGNS))
    costs = measured["instructions"]
    compared = compare_with_plain(server, plain(server), costs)
    lines = [*table(server.version, costs), "", *compared, ""]
    return lines, {kind: cost.added(values) for kind, values in measured.items()}


def main() -> None:
    """Print a table for each version of PostgreSQL."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--pg", type=int, action="append", help="major version (default: all)")
    parser.add_argument(
        "--write-reference",
        action="store_true",
        help="keep what is added as what the tests hold every change against",
    )
    wanted = parser.parse_args()
    if not has_valgrind():
        raise SystemExit("valgrind is needed to count instructions: install it, then try again.")
    reference = cost.reference() if cost.REFERENCE.exists() else {}
    for candidate in installed():
        if not wanted.pg or candidate.version in wanted.pg:
            with running(Path(candidate.origin), candidate.version) as server:
                lines, reference[str(candidate.version)] = report(server)
                sys.stdout.write("\n".join(lines) + "\n")
    if wanted.write_reference:
        cost.REFERENCE.write_text(json.dumps(reference, indent=2) + "\n", "utf-8")
        sys.stderr.write(f"written: {cost.REFERENCE}\n")


if __name__ == "__main__":
    main()
