"""How much the tests do: the short form of each, or with `--long` the one that takes its time."""

import os
from typing import TypeVar

T = TypeVar("T")

VARIABLE = "AUDITDB_TEST_LONG"


def is_long() -> bool:
    """Return whether AUDITDB_TEST_LONG is set, which `--long` does, to anything but 0."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def sized(short: T, long: T) -> T:
    """Return how many, how often or how large, in the form of the tests that is asked for."""
    return long if is_long() else short
