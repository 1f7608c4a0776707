"""Measures systems in turn, A B C A B C, so that what slows the machine down slows all of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from benchmarks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(slots=True)
class Turns:
    """What was measured so far, by case, system and metric; each has a value for each turn."""

    benchmark: str
    postgres: int
    _values: defaultdict[tuple[str, str, str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, case: str, system: str, metric: str, value: float, unit: str) -> None:
        """Note what one turn gave."""
        self._values[case, system, metric, unit].append(value)

    def results(self) -> list[Result]:
        """Return one value of each number, in the order they were first added."""
        return [
            Result(self.benchmark, self.postgres, case, system, metric, value(values, unit), unit)
            for (case, system, metric, unit), values in self._values.items()
        ]


def value(values: Sequence[float], unit: str) -> float:
    """Return what the turn gave that was disturbed least, or the median of what is no speed.

    Whatever else a machine does adds to the time of a turn and never takes from it.

    >>> value([12, 10, 90], "µs"), value([12, 10, 90], "statements/s"), value([12, 10, 90], "bytes")
    (10, 90, 12)
    """
    if unit == "µs":
        return min(values)
    return max(values) if unit.endswith("/s") else median(values)


def rotated(items: Sequence[T], turn: int) -> list[T]:
    """Return the items from another one on in each turn: who comes first finds colder caches."""
    start = turn % max(len(items), 1)
    return [*items[start:], *items[:start]]
