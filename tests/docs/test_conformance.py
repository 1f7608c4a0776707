"""The page of conformance names tests that exist, and every test that is there for it."""

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.quick, pytest.mark.once]

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "conformance.md"
LINE = re.compile(r"^\| (?P<fault>.+?) \| (?P<here>.+?) \| (?P<tests>`.+`) \|$", re.MULTILINE)


def defined(file: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE))


def named() -> set[tuple[str, str]]:
    found = LINE.findall(PAGE.read_text("utf-8"))
    return {
        (file, test)
        for *_, tests in found
        for file, test in re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    }


def test_every_line_names_tests_that_exist() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    told = [line for line in lines if not line.startswith(("| what goes", "| ---"))]
    assert len(told) > 80
    assert [line for line in told if not LINE.match(line)] == []
    assert {(file, test) for file, test in named() if test not in defined(TESTS / file)} == set()


def test_every_test_of_conformance_is_named() -> None:
    files = sorted((TESTS / "record").glob("test_conformance_*.py"))
    assert len(files) == 5
    there = {(f"record/{file.name}", test) for file in files for test in defined(file)}
    assert there - named() == set()


def test_names_of_tests_say_what_they_show() -> None:
    numbered = [
        (file.name, test)
        for file in sorted(TESTS.rglob("test_*.py"))
        for test in defined(file)
        if re.match(r"test_\d", test)
    ]
    assert numbered == []
