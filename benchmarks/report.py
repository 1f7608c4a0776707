"""Turns measured numbers into the files that people read: JSON, and tables in Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import product
from typing import TYPE_CHECKING

from benchmarks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TITLES = {
    "writers": "Writers, one row at a time",
    "bulk": "Writers, many rows in a statement",
    "orm": "Writers through an ORM, one object in a transaction",
    "tpcb": "TPC-B, pgbench's own load",
    "counts": "Writers, in instructions",
    "sizes": "Writers, in bytes of the log",
    "ddl": "Definitions and upkeep",
    "readers": "Readers",
    "exports": "Exports",
}
"""Heading of each benchmark, in the order of the report."""

COMPARED = ("cpu", "instructions")
"""Metrics that are compared with the floor."""

_STOPPED = "stopped"
_COUNTED = ("", "bytes", "locks", "pages", "rows")
"""Units of which there are whole ones only, but for means."""
_APART = ("cold", "growth")
"""First words of metrics that get a table of their own."""
_ACROSS = ("counts", "sizes")
"""Benchmarks whose tables have a column for each system."""
_OF_A_LOG = ("readers", "exports")
"""Benchmarks whose systems are logs of different sizes."""
_LARGE = ", large account"
"""End of the cases of readers that the page shows."""
_SIDES = ("case", "system")


def dump(path: Path, environment: dict[str, str], results: Sequence[Result]) -> None:
    """Write the numbers, and where they were measured, as JSON."""
    found = {"environment": environment, "results": [asdict(result) for result in results]}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> tuple[dict[str, str], list[Result]]:
    """Return what dump() wrote; nothing if it is not there."""
    if not path.exists():
        return {}, []
    found = json.loads(path.read_text("utf-8"))
    return found["environment"], [Result(**result) for result in found["results"]]


def merged(old: Sequence[Result], new: Sequence[Result]) -> list[Result]:
    """Return the numbers of both; a benchmark measured anew on a server replaces the old one."""
    measured = {(result.benchmark, result.postgres) for result in new}
    kept = [result for result in old if (result.benchmark, result.postgres) not in measured]
    order = list(TITLES)
    return sorted(
        [*kept, *new], key=lambda result: (order.index(result.benchmark), -result.postgres)
    )


def ratio(value: float, unaudited: float, floor: float) -> float | None:
    """Return what a system adds, in multiples of what the floor adds; None if that is nothing."""
    return (value - unaudited) / (floor - unaudited) if floor > unaudited else None


def markdown(environment: dict[str, str], results: Sequence[Result]) -> str:
    """Return the whole report: the environment, and a table for each benchmark and version."""
    lines = ["# Results", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in environment.items()]
    for benchmark, title in TITLES.items():
        versions = {r.postgres: None for r in results if r.benchmark == benchmark}
        for version in versions:
            chosen = [r for r in results if (r.benchmark, r.postgres) == (benchmark, version)]
            lines += ["", f"## {title}, PostgreSQL {version}"]
            for part in parts(chosen):
                lines += ["", *table(part)]
    return "\n".join(lines) + "\n"


def parts(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results of each table: what is warm, what is cold, and how it grows."""
    found: dict[str, list[Result]] = {}
    for result in results:
        word = result.metric.split(" ")[0]
        found.setdefault(word if word in _APART else "", []).append(result)
    return list(found.values())


def table(results: Sequence[Result]) -> list[str]:
    """Return a table: a line for each case and system, a column for each metric.

    In brackets: what the system adds to unaudited, in multiples of what the floor adds.
    """
    if results[0].benchmark in _ACROSS:
        return _across(results)
    values = {(r.case, r.system, r.metric): r for r in results}
    metrics = {r.metric: r.unit for r in results if r.metric != _STOPPED}
    heads = [f"{metric} ({unit})" if unit else metric for metric, unit in metrics.items()]
    side = "log" if results[0].benchmark in _OF_A_LOG else "system"
    lines = [
        "| " + " | ".join(("case", side, *heads)) + " |",
        "| --- | --- |" + " ---: |" * len(heads),
    ]
    cases, systems = (dict.fromkeys(getattr(r, name) for r in results) for name in _SIDES)
    measured = {(r.case, r.system) for r in results}
    for case, system in (pair for pair in product(cases, systems) if pair in measured):
        cells = [_cell(values, case, system, metric) for metric in metrics]
        lines.append("| " + " | ".join((case, system, *cells)) + " |")
    return lines


def _across(results: Sequence[Result]) -> list[str]:
    """Return a table of one metric: a line for each case, a column for each system.

    Of the unaudited it shows the whole, of the others what they add to it.
    """
    values = {
        (r.case, r.system): r
        for r in results
        if r.metric in ("added", "log") or r.system == "unaudited"
    }
    cases, systems = (dict.fromkeys(pair[side] for pair in values) for side in (0, 1))
    unit = results[0].unit
    lines = [
        "| " + " | ".join((f"case ({unit})", *systems)) + " |",
        "| --- |" + " ---: |" * len(systems),
    ]
    for case in cases:
        found = [values.get((case, system)) for system in systems]
        cells = [number(r.value, r.unit) if r else "" for r in found]
        lines.append("| " + " | ".join((case, *cells)) + " |")
    return lines


def _cell(values: dict[tuple[str, str, str], Result], case: str, system: str, metric: str) -> str:
    result = values.get((case, system, metric))
    if result is None:
        return ""
    is_least = metric == "cpu" and (case, system, _STOPPED) in values
    text = ("≥ " if is_least else "") + number(result.value, result.unit)
    unaudited, floor = (values.get((case, name, metric)) for name in ("unaudited", "floor"))
    if metric in COMPARED and unaudited and floor and system != "unaudited":
        over = ratio(result.value, unaudited.value, floor.value)
        text += f" ({over:.2f})" if over is not None else ""
    return text


def number(value: float, unit: str) -> str:
    """Return a number with three digits that count, or whole if counted; commas part thousands."""
    if unit in _COUNTED or value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _shown(results: Sequence[Result]) -> list[Result]:
    """Return what a page shows: of readers the warm ones, and of the account that has the most."""
    if results[0].benchmark != "readers":
        return list(results)
    return [
        replace(result, case=result.case.removesuffix(_LARGE))
        for result in parts(results)[0]
        if result.case.endswith(_LARGE)
    ]


def renewed(page: str, results: Sequence[Result]) -> str:
    """Return a page with its tables made anew, between `<!-- writers 18 -->` and `<!-- end -->`.

    A marker names a benchmark and a version; what was not measured stays as it is.
    """
    lines, skipping = [], False
    for line in page.splitlines():
        if skipping and line == "<!-- end -->":
            skipping = False
        if not skipping:
            lines.append(line)
        words = line.removeprefix("<!-- ").removesuffix(" -->").split()
        if line.startswith("<!-- ") and len(words) == 2 and words[1].isdecimal():
            chosen = [r for r in results if (r.benchmark, str(r.postgres)) == tuple(words)]
            if chosen:
                lines += ["", *table(_shown(chosen)), ""]
                skipping = True
    if skipping:
        raise ValueError("a marker for tables has no <!-- end -->")
    return "\n".join(lines) + "\n"
