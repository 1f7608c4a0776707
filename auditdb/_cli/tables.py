"""Shows events to people (tables for a terminal) and to programs (JSON Lines)."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditdb._query.records import Change, Event

CELL = 200
"""The most characters of a value in the table of changes."""

WORD = 60
"""The most characters of a value in the table of events."""

LINES = 3
"""The most changes of an event in the table of events."""

WIDE = 110
"""The least characters of a line for a column of its own for time, action, item and actor."""

# Joiners are part of how some languages and emoji are written; all else invisible is shown.
_JOINERS = "\u200c\u200d"
_HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
# What JSON allows in a string but a terminal may obey, or a reader of lines may split at.
_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def visible(text: str, limit: int | None = None) -> str:
    r"""Return `text` on one line, with control and direction characters shown, as \x1b or \u202e.

    What is longer than `limit` characters ends in an ellipsis.
    """
    is_long = limit is not None and len(text) > limit
    kept = text[: limit - 1] if is_long and limit is not None else text
    return "".join(map(_visible, kept)) + ("…" if is_long else "")


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def time(moment: datetime) -> str:
    """Return `moment` in UTC to the second, for people."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


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
        when = Text(time(event.occurred_at), style="dim")
        what = Text(visible(event.action, WORD), style="bold")
        if event.is_cascade:
            what.append(" (cascade)", style="not bold dim")
        item = _named(event.item_type, event.item_id, event.item_label)
        actor = _named(event.actor_type, event.actor_id, event.actor_label)
        if is_wide:
            cells = [when, what, item, actor]
        else:
            cells = [Text("\n").join(pair) for pair in ((when, actor), (what, item))]
        table.add_row(*cells, _summary(event))
    return table


def changes_table(event: Event, changes: Sequence[Change], *, title: str | None = None) -> Table:
    """Return what `event` changed as a table: column, old value, new value."""
    heading = f"{time(event.occurred_at)} {event.action} {event.item_type}:{event.item_id}"
    table = _table(title or visible(heading, CELL))
    table.add_column("column", style="bold", overflow="fold")
    table.add_column("old", overflow="fold")
    table.add_column("new", overflow="fold")
    for change in changes:
        old, new = (_value(v, is_redacted=change.is_redacted) for v in (change.old, change.new))
        table.add_row(Text(visible(change.column, CELL)), old, new)
    return table


def json_line(event: Event) -> str:
    """Return `event` as one line of JSON, whole, without a line break at its end.

    Ids are strings (they may exceed 2^53), the time is ISO 8601 in UTC, and characters that a
    terminal might obey are escaped.
    """
    line = f"{{{', '.join(_member(one.name, getattr(event, one.name)) for one in fields(event))}}}"
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _member(name: str, value: Any) -> str:
    """Return a field of an event as a member of an object."""
    if name.endswith("_json"):
        # As PostgreSQL wrote it: no number is rounded, nothing is too deep.
        return f'"{name.removesuffix("_json")}": {value or "null"}'
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat(timespec="microseconds")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return f'"{name}": {json.dumps(value, ensure_ascii=False)}'


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
