"""Draws the numbers: a picture for each benchmark and version of PostgreSQL."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from benchmarks.report import TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.result import Result

_COLORS = {"unaudited": "#b8bcc2", "floor": "#7c828c", "auditdb": "#c8452d"}
_OTHERS = ("#2f6f9f", "#7fb0d3", "#3f8f5f", "#93c7a4", "#8a63a8", "#c4a9d8")
_UNITS = {"writers": "statement", "bulk": "row", "orm": "transaction", "tpcb": "transaction"}
"""What the CPU time of a benchmark's picture is for."""


DRAWN = (*_UNITS, "readers", "exports")
"""Benchmarks that have a picture."""


def draw(directory: Path, results: Sequence[Result], form: str = "svg") -> list[Path]:
    """Draw what was measured, as `svg` or `png`; nothing where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "auditdb"  # the same numbers give the same file
    drawn = []
    pictures = dict.fromkeys(_UNITS, _bars) | {
        "bulk": _lines,
        "readers": _questions,
        "exports": _formats,
    }
    for benchmark, picture in pictures.items():
        chosen = [result for result in results if result.benchmark == benchmark]
        for version in dict.fromkeys(result.postgres for result in chosen):
            path = directory / f"{benchmark}-{version}.{form}"
            figure = picture(benchmark, [r for r in chosen if r.postgres == version])
            figure.suptitle(f"{TITLES[benchmark]}, PostgreSQL {version}", fontsize=11)
            figure.tight_layout()
            metadata = {"Date": None} if form == "svg" else {}
            figure.savefig(path, dpi=110, metadata=metadata)
            drawn.append(path)
    return drawn


def _bars(benchmark: str, results: Sequence[Result]) -> Any:
    """Draw a group of bars for each case, a bar for each system."""
    from matplotlib.figure import Figure

    values = {(r.case, r.system): r.value for r in results if r.metric == "cpu"}
    cases = list(dict.fromkeys(case for case, _ in values))
    colors = _palette(values)
    figure = Figure(figsize=(max(8, 1.1 * len(cases) + 4), 4.8))
    axes = figure.subplots()
    width = 0.84 / len(colors)
    for place, (system, color) in enumerate(colors.items()):
        at = [n + (place - (len(colors) - 1) / 2) * width for n in range(len(cases))]
        heights = [values.get((case, system), 0) for case in cases]
        axes.bar(at, heights, width * 0.92, label=system, color=color)
    axes.set_ylabel(f"CPU time of the backend, µs for a {_UNITS[benchmark]}")
    axes.set_xticks(range(len(cases)), [case.replace(", ", ",\n") for case in cases])
    axes.tick_params(axis="x", length=0, labelsize=9)
    axes.margins(y=0.3)  # room for the legend
    _finish(axes)
    axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper left")
    return figure


def _lines(_benchmark: str, results: Sequence[Result]) -> Any:
    """Draw a panel for each statement, a line for each system, over the rows of a statement."""
    from matplotlib.figure import Figure

    values = {(r.case, r.system): r.value for r in results if r.metric == "cpu"}
    stopped = {(r.case, r.system) for r in results if r.metric == "stopped"}
    colors = _palette(values)
    titles = list(dict.fromkeys(case.split(", ")[0] for case, _ in values))
    figure = Figure(figsize=(12, 4.8))
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    for axes, title in zip(panels, titles, strict=True):
        for system, color in colors.items():
            line = {
                int(case.split(", ")[1].split(" ")[0].replace(",", "")): (value, case)
                for (case, name), value in values.items()
                if name == system and case.startswith(f"{title}, ")
            }
            heights = [value for value, _ in line.values()]
            axes.plot(list(line), heights, marker="o", markersize=4, label=system, color=color)
            ended = [(n, v) for n, (v, case) in line.items() if (case, system) in stopped]
            axes.scatter([n for n, _ in ended], [v for _, v in ended], 60, color, "^")
        axes.set_title(title, fontsize=10)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("rows in a statement")
        _finish(axes)
    panels[0].set_ylabel("CPU time of the backend, µs for a row")
    note = "▲ stopped: more than that" if stopped else None
    panels[-1].legend(fontsize=8, frameon=False, title=note, title_fontsize=8)
    return figure


def _questions(_benchmark: str, results: Sequence[Result]) -> Any:
    """Draw a line for each question of a large account, a dot for each size of the log."""
    waits: dict[tuple[str, str], float] = {}
    for result in results:
        case, _, account = result.case.rpartition(", ")
        if account == "large account" and result.metric in ("planning", "execution"):
            key = case, result.system
            waits[key] = waits.get(key, 0) + result.value
    return _dots(waits, "planning and execution, ms, of the account with the most rows", "log")


def _formats(_benchmark: str, results: Sequence[Result]) -> Any:
    """Draw a line for each format, with the rows a second."""
    rates = {(r.case, r.system): r.value for r in results if r.metric == "rate"}
    figure = _dots(rates, "rows a second", "linear")
    figure.axes[0].set_xlim(left=0)
    return figure


def _dots(values: dict[tuple[str, str], float], label: str, scale: str) -> Any:
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys(case for case, _ in values))
    systems = dict.fromkeys(system for _, system in values)
    figure = Figure(figsize=(10, 0.34 * len(cases) + 1.6))
    axes = figure.subplots()
    for system, color in zip(systems, _OTHERS, strict=False):
        own = {case: value for (case, name), value in values.items() if name == system}
        axes.scatter(list(own.values()), [cases.index(case) for case in own], 46, color=color)
        axes.plot([], [], "o", color=color, label=system)
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.set_xscale(scale)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel(label)
    _finish(axes)
    axes.grid(axis="x", alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _palette(values: dict[tuple[str, str], float]) -> dict[str, str]:
    others = iter(_OTHERS * 3)
    systems = dict.fromkeys(system for _, system in values)
    return {system: _COLORS.get(system) or next(others) for system in systems}


def _finish(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
