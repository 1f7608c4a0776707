"""The tree in docs/design.md is the tree: each directory has its line, each line its place."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.quick

DESIGN = ROOT / "docs" / "design.md"
LINE = re.compile(r"^ {4}(?P<indent>(?:  )*)(?P<name>\S+) {2,}(?P<what>\S.*)$")
# What tools leave in a checkout, and hidden places but those of the checks.
LEFT_OUT = re.compile(r"__pycache__|build|dist|.*\.egg-info|\.(?!ci$|github$).*")


def listed(text: str) -> list[str]:
    """Return the paths that a drawing names, each from the root; directories end with a slash."""
    found, above = [], list[str]()
    for line in text.splitlines():
        drawn = LINE.match(line)
        assert drawn is not None, line
        del above[len(drawn["indent"]) // 2 :]
        assert len(above) == len(drawn["indent"]) // 2, line
        above.append(drawn["name"])
        assert all(name.endswith("/") for name in above[:-1]), line
        found.append("".join(above))
    return found


def directories(place: Path) -> Iterator[Path]:
    """Yield each directory below that is part of the project."""
    for path in sorted(place.iterdir()):
        if path.is_dir() and not LEFT_OUT.fullmatch(path.name):
            yield path
            yield from directories(path)


def drawing() -> str:
    section = DESIGN.read_text("utf-8").partition("\n## The tree\n\n")[2]
    return section.partition("\n\n")[0]


def test_the_drawing_is_the_tree() -> None:
    found = listed(drawing())
    assert len(found) == len(set(found))
    there = {f"{path.relative_to(ROOT)}/" for path in directories(ROOT)}
    there |= {str(path.relative_to(ROOT)) for path in (ROOT / "auditdb").glob("*.py")}
    assert there - set(found) == set(), "not in docs/design.md"
    assert {path for path in found if not (ROOT / path).exists()} == set(), "not in the tree"
    assert all((ROOT / path).is_dir() == path.endswith("/") for path in found)


def test_a_line_is_short_enough_to_be_read_as_one() -> None:
    assert [line for line in drawing().splitlines() if len(line) > 110] == []
