"""What is said or asked in many places is written in one."""

import re

import pytest

from auditdb.errors import UPGRADE_HINT, SchemaBehind, SchemaMissing
from tests.support import ROOT


@pytest.mark.parametrize(
    "text",
    [
        re.escape(UPGRADE_HINT),
        # The errors that a schema which is not there, or an older one, is told by.
        r"InvalidSchemaName|UndefinedTable|UndefinedColumn|UndefinedFunction",
        r"""["'](?:3F000|42P01|42703|42883)["']""",
    ],
)
def test_only_errors_know_what_a_missing_schema_takes(text: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("auditdb/**/*.py")
        if re.search(text, path.read_text("utf-8"))
    }
    assert found <= {"auditdb/errors.py"}


def test_the_hint_comes_with_the_error() -> None:
    for error in (SchemaMissing, SchemaBehind):
        assert error().hint == UPGRADE_HINT
        assert error("Said otherwise.", hint="Do this.").hint == "Do this."
