"""How much is measured: more where the numbers are looked at most, and when asked for."""

from __future__ import annotations

from dataclasses import dataclass

NEWEST = 18


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes of a run."""

    rounds: int
    """Turns that every system gets; the one that was disturbed least counts."""
    statements: int
    """Statements of one row in a turn."""
    transactions: int
    """Of all clients in a run of pgbench."""
    turns: int
    """Runs of pgbench for each number of clients; the best counts."""
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
    sized: int
    """Statements whose bytes in the log are measured."""
    tracked: tuple[int, ...]
    """Tracked tables beside which DDL is measured."""
    partitions: int
    """Partitions that get their first row."""
    scale: int
    """Scale of pgbench's tables: branches."""


def effort(version: int, *, full: bool) -> Effort:
    """Return what is measured on a version of PostgreSQL."""
    if full:
        return Effort(
            rounds=81,
            statements=300,
            transactions=30_000,
            turns=11,
            clients=(1, 2, 8),
            bulk={1: 200, 10: 50, 1_000: 5, 100_000: 1},
            bulk_rounds={1: 11, 10: 11, 1_000: 11, 100_000: 5},
            patience=100,
            objects=50,
            object_rounds=51,
            counted=500,
            sized=20_000,
            tracked=(1, 100, 500),
            partitions=1_000,
            scale=10,
        )
    newest = version >= NEWEST
    most = 100_000 if newest else 10_000
    return Effort(
        rounds=27 if newest else 15,
        statements=200,
        transactions=1_500,
        turns=4 if newest else 3,
        clients=(1, 2, 8) if newest else (1, 8),
        bulk={1: 100, 10: 20, 1_000: 1, most: 1},
        bulk_rounds={1: 7, 10: 7, 1_000: 9, most: 2},
        patience=6,
        objects=20,
        object_rounds=20 if newest else 12,
        counted=100 if newest else 50,
        sized=4_000,
        tracked=(1, 100, 500),
        partitions=1_000,
        scale=8,
    )


TINY = Effort(
    rounds=1,
    statements=5,
    transactions=2_000,
    turns=1,
    clients=(2,),
    bulk={1: 2, 100: 1},
    bulk_rounds={1: 1, 100: 1},
    patience=100,
    objects=2,
    object_rounds=1,
    counted=5,
    sized=200,
    tracked=(1, 3),
    partitions=3,
    scale=1,
)
"""Just enough to see that a benchmark runs."""
