"""Draws the numbers: a picture for each benchmark."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.result import Result

from benchmarks.report import TITLES

_COLORS = {"unaudited": "#b8bcc2", "floor": "#7c828c", "auditdb": "#c8452d"}
_OTHERS = ("#2f6f9f", "#7fb0d3", "#3f8f5f", "#93c7a4", "#8a63a8", "#c4a9d8")
_DRAWN = ("writers", "bulk", "orm", "tpcb")
"""What is drawn as CPU time of the backend, by case and system."""


def draw(directory: Path, results: Sequence[Result]) -> list[Path]:
    """Draw what was measured of writers, as SVG and PNG; nothing where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    drawn = []
    for benchmark in _DRAWN:
        chosen = [result for result in results if result.benchmark == benchmark]
        for version in dict.fromkeys(result.postgres for result in chosen):
            values = [result for result in chosen if result.postgres == version]
            drawn += _bars(directory, benchmark, version, values)
    return drawn


def _bars(directory: Path, benchmark: str, version: int, results: Sequence[Result]) -> list[Path]:
    """Draw a group of bars for each case, a bar for each system."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "auditdb"  # the same numbers give the same file
    from matplotlib import pyplot as plt

    measured = [r for r in results if r.metric == "cpu"]
    groups = list(dict.fromkeys(r.case for r in measured))
    systems = list(dict.fromkeys(r.system for r in measured))
    values = {(r.case, r.system): r.value for r in measured}
    stopped = {(r.case, r.system) for r in results if r.metric == "stopped"}
    colors = _palette(systems)
    figure, axes = plt.subplots(figsize=(max(8, 1.1 * len(groups) + 4), 4.8))
    width = 0.84 / len(systems)
    for place, system in enumerate(systems):
        at = [n + (place - (len(systems) - 1) / 2) * width for n in range(len(groups))]
        heights = [values.get((group, system), 0) for group in groups]
        bars = axes.bar(at, heights, width * 0.92, label=system, color=colors[system])
        for bar, group in zip(bars, groups, strict=True):
            if (group, system) in stopped:
                bar.set_hatch("////")
                bar.set_edgecolor("white")
    _finish(axes, groups, benchmark, version, hatched=bool(stopped))
    figure.tight_layout()
    paths = [directory / f"{benchmark}-{version}.{form}" for form in ("svg", "png")]
    for path in paths:
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else {})
    plt.close(figure)
    return paths


def _palette(systems: Sequence[str]) -> dict[str, str]:
    others = iter(_OTHERS * 3)
    return {system: _COLORS.get(system) or next(others) for system in systems}


def _finish(
    axes: Any, labels: Sequence[str], benchmark: str, version: int, *, hatched: bool
) -> None:
    unit = {"bulk": "row", "tpcb": "transaction", "orm": "transaction"}.get(benchmark, "statement")
    axes.set_title(f"{TITLES[benchmark]}, PostgreSQL {version}", loc="left", fontsize=11)
    axes.set_ylabel(f"CPU time of the backend, µs for a {unit}")
    axes.set_xticks(range(len(labels)), [label.replace(", ", ",\n") for label in labels])
    axes.tick_params(axis="x", length=0, labelsize=9)
    if benchmark == "bulk":
        axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    note = "hatched: stopped before it ended" if hatched else None
    axes.legend(fontsize=8, frameon=False, title=note, title_fontsize=8, ncols=2)
