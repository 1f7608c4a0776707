"""The versions of PostgreSQL that auditdb supports, as pyproject.toml lists them."""

import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def supported(pyproject: Path = PYPROJECT) -> tuple[int, ...]:
    """Return the major versions, newest first: `[tool.auditdb] postgresql` of pyproject.toml."""
    table = tomllib.loads(pyproject.read_text())["tool"]["auditdb"]
    return tuple(sorted(table["postgresql"], reverse=True))
