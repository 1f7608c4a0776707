"""How much is measured: more where the numbers are looked at most, and when asked for."""

from __future__ import annotations

from dataclasses import dataclass

NEWEST = 18


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes of a run."""

    rounds: int
    """Turns that every system gets; the median counts."""
    statements: int
    """Statements of one row in a turn."""
    seconds: int
    """Length of a run of pgbench."""
    turns: int
    """Runs of pgbench for each number of clients; the median counts."""
    clients: tuple[int, ...]
    bulk: dict[int, int]
    """Rows of a statement, with how often it is repeated within a turn."""
    bulk_rounds: dict[int, int]
    """Rows of a statement, with the number of turns."""
    patience: float
    """A statement is stopped after so many times what the floor takes."""
    objects: int
    """Objects that an ORM writes in a turn, a transaction each."""
    object_rounds: int
    """Turns of an ORM."""
    counted: int
    """Statements whose instructions are counted."""
    scale: int
    """Scale of pgbench's tables: branches."""


def effort(version: int, *, full: bool) -> Effort:
    """Return what is measured on a version of PostgreSQL."""
    if full:
        return Effort(
            rounds=21,
            statements=1000,
            seconds=10,
            turns=5,
            clients=(1, 2, 8),
            bulk={1: 200, 10: 50, 1_000: 5, 100_000: 1},
            bulk_rounds={1: 11, 10: 11, 1_000: 7, 100_000: 5},
            patience=100,
            objects=300,
            object_rounds=9,
            counted=500,
            scale=10,
        )
    newest = version >= NEWEST
    most = 100_000 if newest else 10_000
    return Effort(
        rounds=9 if newest else 5,
        statements=600,
        seconds=2 if newest else 1,
        turns=2,
        clients=(1, 2, 8) if newest else (1, 8),
        bulk={1: 100, 10: 30, 1_000: 3, most: 1},
        bulk_rounds={1: 5, 10: 5, 1_000: 3, most: 1},
        patience=6,
        objects=60,
        object_rounds=5 if newest else 3,
        counted=100 if newest else 50,
        scale=8,
    )


TINY = Effort(
    rounds=1,
    statements=5,
    seconds=1,
    turns=1,
    clients=(2,),
    bulk={1: 2, 100: 1},
    bulk_rounds={1: 1, 100: 1},
    patience=100,
    objects=2,
    object_rounds=1,
    counted=5,
    scale=1,
)
"""Just enough to see that a benchmark runs."""
