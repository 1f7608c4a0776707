"""The memory of an export does not grow with the log: rows stream through."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.exports import fill

pytestmark = [pytest.mark.once, pytest.mark.slow]

MEASURED = """
import resource, sys
from auditdb._cli.app import app
try:
    app(sys.argv[1:], prog_name="auditdb")
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""

ALLOWED = 30_000
"""Kilobytes that an export of ten times the rows may take more; the rows are 50,000 of them."""


def peak(*arguments: str) -> int:
    """Return the most kilobytes that the command took."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=300,
        check=True,
    )
    return int(re.findall(r"peak (\d+)", ran.stderr)[0])


@pytest.fixture
def logs(database: str) -> str:
    """The URL of a database with 100,000 rows, the first 10,000 of them until 2026-01-29."""
    fill(database, 100_000, "4 minutes")
    return database


def test_ten_times_the_rows_take_no_more_memory(logs: str, tmp_path: Path) -> None:
    forms = [("csv", "none"), ("jsonl", "zstd"), ("parquet", "zstd")]
    for number, (form, compress) in enumerate(forms):
        options = ("--url", logs, "--format", form, "--compress", compress)
        few = tmp_path / f"few{number}"
        many = tmp_path / f"many{number}"
        small = peak("export", str(few), *options, "--until", "2026-01-28T18:40Z")
        large = peak("export", str(many), *options, "--until", "2026-11-01")
        assert large - small < ALLOWED, (form, compress, small, large)
    for number in range(len(forms)):
        small = peak("verify", str(tmp_path / f"few{number}"))
        large = peak("verify", str(tmp_path / f"many{number}"))
        assert large - small < ALLOWED, ("verify", forms[number], small, large)
