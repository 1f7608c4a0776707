"""A bar on stderr that shows how far an export, an import or a baseline is."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Task


class _Rate(TextColumn):
    """Rows a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Any:
        """Return the rate, once it is known."""
        speed = task.finished_speed or task.speed
        self.text_format = f"{speed:,.0f} rows/s" if speed else ""
        return super().render(task)


class Bar:
    """A bar on stderr, where that is a terminal."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._task: TaskID | None = None

    def begin(self, rows: int, done: int) -> None:
        self._task = self._shown.add_task("rows", total=rows, completed=done)

    def advance(self, rows: int) -> None:
        if self._task is not None:
            self._shown.advance(self._task, rows)


@contextmanager
def progress() -> Iterator[Bar]:
    shown = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # Not what rich thinks a terminal: a pipe stays one where colours are forced.
        disable=not sys.stderr.isatty(),
    )
    with shown:
        yield Bar(shown)
