"""One measured number, as every benchmark gives it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """A number, and what was measured where."""

    benchmark: str
    """Which benchmark: writers, bulk, tpcb, readers, exports."""
    postgres: int
    """Major version of the server."""
    case: str
    """What was done: the row of a table, such as "audited update"."""
    system: str
    """By what: unaudited, floor, auditdb or a peer; for readers the size of the log."""
    metric: str
    """What is counted, such as "cpu" or "instructions"."""
    value: float
    unit: str
    """Unit of the value, such as "µs", "thousand", "bytes", "rows/s", "ms", "locks"."""
