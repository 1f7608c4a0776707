"""What an item was at some time, worked out from the changes before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditdb._connection.runner import Query
from auditdb._query import declared, page_cursor
from auditdb._query.filters import exact, filtered, moment_of
from auditdb._query.months import whole
from auditdb._query.records import ItemState, NoValue, parse
from auditdb._query.statements import MOMENT, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from auditdb._connection.runner import Reading, ResultRow
    from auditdb._query.filters import Id, Item

_AROUND = """
(select distinct on (c.key) 'past', {moment}, e.id, c.key, c.value::text
 from ({events}) as e cross join lateral jsonb_each(e.changes) as c
 where e.occurred_at <= {time}
 order by c.key, e.occurred_at desc, e.id desc)
union all
(select distinct on (c.key) 'next', {moment}, e.id, c.key, c.value::text
 from ({events}) as e cross join lateral jsonb_each(e.changes) as c
 where e.occurred_at > {time}
 order by c.key, e.occurred_at, e.id)
union all
{declared}
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one event says of one column."""

    column: str
    event: tuple[int, int]
    """Time and id of the event."""
    change: dict[str, Any]

    @property
    def is_redacted(self) -> bool:
        return "redacted" in self.change

    @property
    def begins(self) -> bool:
        return "old" not in self.change and not self.is_redacted

    @property
    def ends(self) -> bool:
        return "new" not in self.change and not self.is_redacted

    @property
    def is_own(self) -> bool:
        """Whether the column is the item's own, not a part's, which has a path of three."""
        return self.column.count("/") < 2

    @property
    def row(self) -> tuple[tuple[int, int], str]:
        """The event and the part that it is about, the same for all columns of a row."""
        return self.event, "" if self.is_own else self.column.rpartition("/")[0]


def read(item: Item, time: datetime, account_id: Id | None) -> Reading[Sequence[ResultRow]]:
    """Ask for the last change of each column until `time`, and the next after it.

    With them come the declarations of tables, which name the columns there are.
    """
    wanted = filtered(account_id=account_id, item=item, include_parts=False)
    moment = page_cursor.to_text(exact("time", time))
    text = _AROUND.format(
        moment=MOMENT,
        events=select("*", wanted, (yield from whole(wanted))),
        declared=(yield from declared.statement()),
        time=moment_of("time"),
    )
    return (yield Query(text, {**wanted.values, "time": moment}))


def state(item_type: str, time: datetime, rows: Sequence[ResultRow]) -> ItemState:
    """Return the state of the item whose changes around `time` are in `rows`."""
    return _read(item_type, time, rows)[0]


def value(item_type: str, column: str, time: datetime, rows: Sequence[ResultRow]) -> Any:
    """Return the value of `column` in that state, or the NoValue that says why there is none.

    Raises InvalidQuestion for a column that neither the item nor a declaration ever had.
    """
    if not any(kind != "declared" and name == column for kind, _, _, name, _ in rows):
        declared.check_column(item_type, column, rows)
    found, absent = _read(item_type, time, rows)
    if column in found.values:
        return found.values[column]
    if column in found.redacted:
        return NoValue.REDACTED
    return NoValue.ABSENT if found.exists is False or column in absent else NoValue.UNKNOWN


def _read(item_type: str, time: datetime, rows: Sequence[ResultRow]) -> tuple[ItemState, set[str]]:
    """Return the state at `time`, and the columns that were not there."""
    past, following = _entries("past", rows), _entries("next", rows)
    # What was before the item began was another one with the same id.
    began = max((e.event for e in past.values() if e.begins and e.is_own), default=None)
    past = {name: e for name, e in past.items() if began is None or e.event >= began}
    exists = _exists(past.values(), following.values())
    if exists is False:
        return ItemState(exists=False), set()
    ended = {e.row for e in past.values() if e.ends}
    begun = {e.row for e in following.values() if e.begins}
    values: dict[str, Any] = {}
    redacted, absent = set[str](), set[str]()
    for name, entry in (following | past).items():
        side, is_gone = ("new", entry.row in ended) if name in past else ("old", entry.row in begun)
        if entry.is_redacted and not is_gone:
            redacted.add(name)
        elif side in entry.change:
            values[name] = entry.change[side]
        else:
            absent.add(name)
    columns, secrets = declared.columns_at(item_type, page_cursor.microseconds(time), rows)
    silent = columns - values.keys() - redacted - absent
    redacted |= silent & secrets
    return ItemState(exists, values, frozenset(redacted), frozenset(silent - secrets)), absent


def _entries(name: str, rows: Sequence[ResultRow]) -> dict[str, _Entry]:
    return {
        column: _Entry(column, (int(moment), number), parse(change))
        for kind, moment, number, column, change in rows
        if kind == name
    }


def _exists(past: Iterable[_Entry], following: Iterable[_Entry]) -> bool | None:
    """Return whether the item existed between what was and what followed; None if none tells."""
    last = [e for e in past if e.is_own]
    if last:
        newest = max(e.event for e in last)
        return not any(e.ends for e in last if e.event == newest)
    first = [e for e in following if e.is_own]
    if first:
        oldest = min(e.event for e in first)
        return not any(e.begins for e in first if e.event == oldest)
    return True if any(not e.ends for e in past) or any(not e.begins for e in following) else None
