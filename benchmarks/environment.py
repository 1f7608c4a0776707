"""Tells what the numbers were measured on and with, and nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.servers import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.servers import Candidate

_PACKAGES = (
    "auditdb",
    "postgresql-audit",
    "django",
    "django-pghistory",
    "django-pgtrigger",
    "sqlalchemy-continuum",
    "sqlalchemy-audit-trail",
    "sqlalchemy",
    "psycopg",
)
_CHORES = {"autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "4GB"}


def describe(servers: Sequence[Candidate]) -> dict[str, str]:
    """Return the facts that matter, by name."""
    settings = {n: v for n, v in {**SETTINGS, **_CHORES}.items() if n != "timezone"}
    return {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "PostgreSQL": ", ".join(_server(candidate) for candidate in servers),
        "settings": ", ".join(f"{name} = {value}" for name, value in settings.items()),
        "Python": platform.python_version(),
        "packages": ", ".join(
            f"{package} {found}" for package in _PACKAGES if (found := _version(package))
        ),
    }


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.processor()


def _server(candidate: Candidate) -> str:
    program = Path(candidate.origin) / "postgres"
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\(PostgreSQL\) (\S+)", answer.stdout)
    return found[1] if found else str(candidate.version)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
