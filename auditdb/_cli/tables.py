"""Shows events to people: tables for a terminal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditdb._cli.saying import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditdb._query.records import Change, Event
    from auditdb._query.undoing import UndoStep
    from auditdb._upkeep.finding import Finding

CELL = 200
"""The most characters of a value in the table of changes."""

WORD = 60
"""The most characters of a value in the table of events."""

LINES = 3
"""The most changes of an event in the table of events."""

WIDE = 110
"""The least characters of a line for a column of its own for time, action, item and actor."""


_STYLES = {"error": "bold red", "warning": "bold yellow"}


class Terminal(Console):
    """A console that leaves it to the command what to do when its reader goes away."""

    def on_broken_pipe(self) -> None:
        """Raise what a plain write would raise."""
        raise BrokenPipeError


def time(event: Event) -> str:
    """Return when `event` was, in UTC to the second, for people."""
    moment, _, rest = event.occurred_at_iso.partition(".")
    return moment.replace("T", " ") + (" BC" if rest.endswith(" BC") else "")


def events_table(events: Iterable[Event], *, width: int, title: str | None = None) -> Table:
    """Return `events` as a table that fits into `width` characters.

    It says when, what, to what, by whom, and what changed: in five columns, or in three where
    there is no room for more.
    """
    table = _table(title)
    is_wide = width >= WIDE
    for heading in (
        ("time (UTC)", "action", "item", "actor")
        if is_wide
        else ("time (UTC), actor", "action, item")
    ):
        table.add_column(heading, overflow="fold")
    table.add_column("changes", overflow="fold", ratio=1)
    for event in events:
        when = Text(time(event), style="dim")
        what = Text(visible(event.action, WORD), style="bold")
        if event.is_cascade:
            what.append(" (cascade)", style="not bold dim")
        item = _named(event.item_type, event.item_id, event.item_label)
        actor = _named(event.actor_type, event.actor_id, event.actor_label)
        if event.on_behalf_of_type is not None and event.on_behalf_of_id is not None:
            actor.append("\non behalf of ", style="dim").append_text(
                _named(event.on_behalf_of_type, event.on_behalf_of_id, event.on_behalf_of_label)
            )
        if is_wide:
            cells = [when, what, item, actor]
        else:
            cells = [Text("\n").join(pair) for pair in ((when, actor), (what, item))]
        table.add_row(*cells, _summary(event))
    return table


def changes_table(event: Event, changes: Sequence[Change], *, title: str | None = None) -> Table:
    """Return what `event` changed as a table: column, old value, new value."""
    heading = f"{time(event)} {event.action} {event.item_type}:{event.item_id}"
    table = _table(title or visible(heading, CELL))
    table.add_column("column", style="bold", overflow="fold")
    table.add_column("old", overflow="fold")
    table.add_column("new", overflow="fold")
    for change in changes:
        old, new = (_value(v, is_redacted=change.is_redacted) for v in (change.old, change.new))
        table.add_row(Text(visible(change.column, CELL)), old, new)
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """Return `findings` as a table: what is wrong, with what, and what fixes it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("finding", overflow="fold")
    table.add_column("object", overflow="fold")
    table.add_column("what it means, and what fixes it", overflow="fold", ratio=1)
    for found in findings:
        what = Text(visible(found.finding), style=_STYLES.get(found.severity, "bold"))
        what.append(f"\n{found.severity}", style="not bold")
        said = Text(visible(found.message))
        if found.mend:
            said.append(f"\n{visible(found.mend)}", style="green")
        table.add_row(what, Text(visible(found.object)), said)
    return table


def undo_table(steps: Iterable[UndoStep]) -> Table:
    """Return the steps of an undo as a table: which row, by which statement, what is against it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("row", overflow="fold")
    table.add_column("restorable", overflow="fold")
    table.add_column("statement, and what is against it", overflow="fold", ratio=1)
    for step in steps:
        row = Text(visible(f"{step.table_name or ''} {step.key}".strip(), WORD), style="bold")
        said = Text(visible(step.statement or "nothing can be done", CELL))
        if step.conflict is not None:
            said.append(f"\nconflict: {visible(step.conflict, CELL)}", style="bold red")
        for missing in step.missing:
            said.append(f"\n{visible(missing, CELL)}", style="yellow")
        table.add_row(row, Text(step.restorable), said)
    return table


def _table(title: str | None) -> Table:
    heading = Text(title) if title else None
    return Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _named(kind: str, number: str, label: str | None) -> Text:
    text = Text(visible(f"{kind}:{number}", WORD))
    if label:
        text.append(f"\n{visible(label, WORD)}", style="dim")
    return text


def _value(value: str | None, *, is_redacted: bool = False) -> Text:
    if is_redacted:
        return Text("redacted", style="dim italic")
    return Text("null", style="dim italic") if value is None else Text(visible(value, CELL))


def _summary(event: Event) -> Text:
    try:
        lines = [_line(name, change) for name, change in event.changes.items()]
    except RecursionError:
        return Text("nested too deeply to show", style="dim")
    shown = [line for line in lines if line is not None]
    text = Text("\n").join(shown[:LINES])
    if len(shown) > LINES:
        text.append(f"\nand {len(shown) - LINES} more", style="dim")
    return text


def _line(name: str, change: dict[str, Any]) -> Text | None:
    """Return a line for one changed column; None where there is nothing to see."""
    sides = [change[side] for side in ("old", "new") if side in change]
    line = Text(f"{visible(name, WORD)}: ")
    if "redacted" in change:
        return line + _value(None, is_redacted=True)
    if sides in ([], [None]) or (len(sides) == 2 and sides[0] == sides[1]):
        return None
    return line + Text(" → ", style="dim").join(_word(side) for side in sides)


def _word(value: Any) -> Text:
    if value is None or isinstance(value, str):
        text = value
    elif isinstance(value, Decimal):
        text = str(value)
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return _value(None if text is None else visible(text, WORD))
