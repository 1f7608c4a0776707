"""What auditing costs a writer stays what it is: nothing becomes slower unseen.

Counted, never timed, as a share of the same statement without audit in the same run, and held
against tests/cost/cost.json. After a change of cost that is meant:
`python -m benchmarks.instructions --write-reference`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from benchmarks import cost
from benchmarks.counting import has_valgrind
from tests.support.servers import Server, installed, memory_directory, running

DESIGNS = ("unaudited", "auditdb")
TOLERANCE = 0.05
LEAST = 0.01
"""Share of a statement that does not count, where next to nothing is added."""
PAGE = 0.04
"""The same for buffers: of the statement without audit it may be one more or less."""

Shares: TypeAlias = dict[str, dict[str, float]]

pytestmark = pytest.mark.slow


def slower(
    found: dict[str, float], kept: dict[str, float], least: float = LEAST
) -> dict[str, tuple[float, float]]:
    """Return the cases to which more is added than was: what was kept, what was found."""
    return {
        title: (kept[title], share)
        for title, share in found.items()
        if share > max(kept[title] * (1 + TOLERANCE), kept[title] + least)
    }


@pytest.fixture(scope="module")
def own(server: Server) -> Iterator[Server]:
    """A server of the same version for these tests alone, with a database for each design."""
    if str(server.version) not in cost.reference():
        pytest.skip(
            f"{cost.REFERENCE.name} has nothing to hold PostgreSQL {server.version} against"
        )
    here = [candidate for candidate in installed() if candidate.version == server.version]
    if not here:
        pytest.skip(f"the programs of PostgreSQL {server.version} are not on this machine")
    with running(Path(here[0].origin), server.version, memory_directory()) as alone:
        cost.prepare(alone, DESIGNS)
        yield alone


@pytest.fixture(scope="module")
def found(own: Server) -> Shares:
    """What auditdb adds in buffers and WAL, by kind and case."""
    buffers, wal = cost.buffers_and_wal(own, DESIGNS)
    return {"buffers": cost.added(buffers), "wal": cost.added(wal)}


@pytest.mark.parametrize("kind", ["buffers", "wal"])
def test_nothing_became_slower(own: Server, found: Shares, kind: str) -> None:
    least = PAGE if kind == "buffers" else LEAST
    assert slower(found[kind], cost.reference()[str(own.version)][kind], least) == {}


@pytest.mark.once
def test_no_statement_takes_more_instructions(own: Server) -> None:
    if not has_valgrind():
        pytest.skip("without valgrind, buffers and WAL must do")
    added = cost.added(cost.instructions(own, DESIGNS))
    assert slower(added, cost.reference()[str(own.version)]["instructions"]) == {}


def test_the_reference_has_every_case() -> None:
    titles = {case.title for case in cost.CASES}
    reference = cost.reference()
    assert set(reference) == {"15", "18"}
    for version, kinds in reference.items():
        assert set(kinds) == {"instructions", "buffers", "wal"}
        for kind, shares in kinds.items():
            assert set(shares) == titles, (version, kind)


def test_more_than_the_tolerance_is_slower() -> None:
    kept = {"update": 0.5, "heartbeat": 0.002}
    assert slower({"update": 0.524, "heartbeat": 0.011}, kept) == {}
    assert slower({"update": 0.526, "heartbeat": 0.013}, kept) == {
        "update": (0.5, 0.526),
        "heartbeat": (0.002, 0.013),
    }
