"""Prints the versions to test on, as the outputs of a step in a workflow: name=[JSON list]."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
CLASSIFIER = "Programming Language :: Python :: 3."


def versions() -> dict[str, list[str]]:
    """Return the versions of Python that are classified, and those of PostgreSQL that are listed.

    The standard library is all it takes: a workflow asks before anything is installed.
    """
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))
    classifiers: list[str] = project["project"]["classifiers"]
    return {
        "python": [c.rpartition(" ")[2] for c in classifiers if c.startswith(CLASSIFIER)],
        "postgresql": [str(number) for number in project["tool"]["auditdb"]["postgresql"]],
    }


if __name__ == "__main__":
    for name, found in versions().items():
        print(f"{name}={json.dumps(found)}")
