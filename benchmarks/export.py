"""Measures exports by format: rows a second, peak memory, bytes a row. Needs a database to fill."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

FORMS = (
    ("csv", "none"),
    ("csv", "zstd"),
    ("jsonl", "none"),
    ("jsonl", "gzip"),
    ("jsonl", "zstd"),
    ("parquet", "zstd"),
)
_FILL = """
insert into audit.log (occurred_at, account_id, action, item_type, item_id, item_label,
  actor_type, actor_id, actor_label, db_role, application, changes, context)
select timestamptz '2026-01-01 00:00Z' + n * interval '10 seconds', (n % 100)::text,
  'license_updated', 'license', n::text, 'AB' || n % 100, 'platform_user', (n % 1000)::text,
  'ana' || n % 1000 || '@example.com', 'app', 'licensing-api',
  jsonb_build_object('max_activations', jsonb_build_object('old', n % 10, 'new', n % 7),
    'note', jsonb_build_object('old', 'seats for ' || n, 'new', 'more seats for ' || n)),
  jsonb_build_object('request_id', md5(n::text), 'ip', '192.0.2.' || n % 250)
from generate_series({first}, {last}) as n
"""
_MEASURED = """
import resource, sys
from auditdb.cli import app
try:
    app(sys.argv[1:], prog_name="auditdb")
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
_STEP = 100_000


def fill(url: str, rows: int) -> None:
    """Write `rows` rows of the log."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set statement_timeout to 0")
        for first in range(1, rows + 1, _STEP):
            last = min(first + _STEP - 1, rows)
            connection.execute(_FILL.format(first=first, last=last).encode())
        connection.execute("analyze audit.log")


def run(*arguments: str) -> tuple[float, int]:
    """Run a command; return the seconds it took and its peak memory in MB."""
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return seconds, int(re.findall(r"peak (\d+)", ran.stderr)[0]) // 1024


def main() -> None:
    """Fill the log of a database, export it in each format, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a database with an empty log, after `auditdb upgrade`")
    parser.add_argument("--rows", type=int, default=200_000)
    given = parser.parse_args()
    fill(given.url, given.rows)
    print("| data | compression | rows/s | peak MB | bytes/row | verified rows/s |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as directory:
        for form, compress in FORMS:
            place = Path(directory) / f"{form}-{compress}"
            options = ("--format", form, "--compress", compress, "--action", "license_updated")
            seconds, peak = run("export", str(place), "--url", given.url, *options)
            found = json.loads((place / "manifest.json").read_text("utf-8"))
            size = sum(one["bytes"] for one in found["files"]) / found["rows"]
            checked, _ = run("verify", str(place))
            print(
                f"| {form} | {compress} | {found['rows'] / seconds:,.0f} | {peak} | {size:.0f} "
                f"| {found['rows'] / checked:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
