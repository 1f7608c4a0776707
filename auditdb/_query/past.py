"""What an item was at some time, worked out from the changes before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditdb._connection.runner import Query
from auditdb._query import declared, page_cursor
from auditdb._query.filters import exact, filtered, moment_of
from auditdb._query.layouts import OF_EVENTS, Layouts, check_one
from auditdb._query.months import whole
from auditdb._query.records import ItemState, NoValue, parse
from auditdb._query.statements import MOMENT, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from auditdb._connection.runner import Reading, ResultRow
    from auditdb._query.filters import Id, Item

_AROUND = """
with event as materialized (
  select e.occurred_at, e.id, e.tx, e.layout, e.changes,
    e.action = (e.item_type || '_baseline') as is_baseline
  from ({events}) as e
)
(select distinct on (e.layout, c.key)
   case when e.is_baseline then 'past baseline' else 'past' end,
   {moment}, e.id, e.tx, c.key, e.layout, c.value::text
 from event as e cross join lateral jsonb_each(e.changes) as c
 where e.occurred_at <= {time}
 order by e.layout, c.key, e.occurred_at desc, e.id desc, e.tx desc)
union all
(select distinct on (e.layout, c.key)
   case when e.is_baseline then 'next baseline' else 'next' end,
   {moment}, e.id, e.tx, c.key, e.layout, c.value::text
 from event as e cross join lateral jsonb_each(e.changes) as c
 where e.occurred_at > {time}
 order by e.layout, c.key, e.occurred_at, e.id, e.tx)
union all
{layouts}
union all
{declared}
"""

_NEVER = (-(2**64), 0, 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one event says of one column."""

    column: str
    """As it is called now."""
    column_then: str
    event: tuple[int, int, int]
    """Time, id and transaction of the event."""
    layout: int | None
    change: dict[str, Any]
    is_baseline: bool
    """Whether it tells what was there: the item neither began then nor changed."""

    @property
    def is_redacted(self) -> bool:
        return "redacted" in self.change

    @property
    def begins(self) -> bool:
        return "old" not in self.change and not self.is_redacted and not self.is_baseline

    @property
    def ends(self) -> bool:
        return "new" not in self.change and not self.is_redacted

    @property
    def is_own(self) -> bool:
        """Whether the column is the item's own, not a part's, which has a path of three."""
        return self.column.count("/") < 2

    @property
    def row(self) -> tuple[tuple[int, int, int], str]:
        """The event and the part that it is about, the same for all columns of a row."""
        return self.event, "" if self.is_own else self.column.rpartition("/")[0]

    @property
    def kind(self) -> str:
        """What it is about: the kind of part, or the item itself."""
        return "" if self.is_own else self.column.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Past:
    """What the log has around a time of one item."""

    item_type: str
    moment: int
    rows: Sequence[ResultRow]
    tables: tuple[str, ...] | None
    """The tables that were asked for."""
    layouts: Layouts
    past: Sequence[_Entry]
    following: Sequence[_Entry]

    own_tables: tuple[str, ...]
    """The tables whose rows the item is, as far as the log says them."""

    def table(self, entry: _Entry) -> str | None:
        """Return the table of an entry, where the item is rows of several; else None for all."""
        return self.layouts.table(entry.layout) if len(self.own_tables) > 1 else None


def read(
    item: Item, time: datetime, account_id: Id | None, table: str | Sequence[str] | None
) -> Reading[Past]:
    """Ask for the last change of each column until `time`, and the next after it.

    With them come the layouts of the rows and the declarations of tables, which name the columns
    there are. Raises InvalidQuestion where rows of several tables would be mixed.
    """
    wanted = filtered(account_id=account_id, item=item, include_parts=False, table=table)
    moment = exact("time", time)
    text = _AROUND.format(
        moment=MOMENT,
        events=select("*", wanted, (yield from whole(wanted))),
        layouts=OF_EVENTS,
        declared=(yield from declared.statement()),
        time=moment_of("time"),
    )
    rows = yield Query(text, {**wanted.values, "time": page_cursor.to_text(moment)})
    layouts = Layouts(rows)
    past, following = (list(_entries(name, rows, layouts)) for name in ("past", "next"))
    tables: dict[str, set[str]] = {}
    for entry in (*past, *following):
        name = layouts.table(entry.layout)
        tables.setdefault(entry.kind, set()).update([] if name is None else [name])
    for names in tables.values():
        check_one(item, names, table)
    own = tuple(sorted(tables.get("", ())))
    return Past(item[0], moment, rows, wanted.tables, layouts, past, following, own)


def state(found: Past) -> ItemState:
    """Return the state of the item at the time."""
    return _read(found)[0]


def value(column: str, found: Past) -> Any:
    """Return the value of `column` in that state, or the NoValue that says why there is none.

    Raises InvalidQuestion for a column that neither the item nor a declaration ever had.
    """
    told = any(e.column == column for e in (*found.past, *found.following))
    if not told and not found.layouts.check_name(column, found.own_tables):
        declared.check_column(found.item_type, column, found.rows)
    there, absent = _read(found)
    if column in there.values:
        return there.values[column]
    if column in there.redacted:
        return NoValue.REDACTED
    return NoValue.ABSENT if there.exists is False or column in absent else NoValue.UNKNOWN


def _read(found: Past) -> tuple[ItemState, set[str]]:
    """Return the state at the time, and the columns that were not there."""
    past = {e.column: e for e in sorted(found.past, key=lambda e: e.event)}
    following = {e.column: e for e in sorted(found.following, key=lambda e: e.event, reverse=True)}
    began = _began(found)
    past = {name: e for name, e in past.items() if e.event >= began(e)}
    exists = _exists(found, past.values(), following.values())
    if exists is False:
        return ItemState(exists=False), set()
    ended = {e.row for e in past.values() if e.ends}
    begun = {e.row for e in following.values() if e.begins}
    values: dict[str, Any] = {}
    redacted, absent = set[str](), set[str]()
    for name, entry in (following | past).items():
        side, is_gone = ("new", entry.row in ended) if name in past else ("old", entry.row in begun)
        if name not in past and entry.is_baseline:
            if not _holds_before(found, entry):
                continue
            side = "new"
        if not found.layouts.is_there(entry.layout, entry.column_then, found.moment):
            absent.add(name)
        elif entry.is_redacted and not is_gone:
            redacted.add(name)
        elif side in entry.change:
            values[name] = entry.change[side]
        else:
            absent.add(name)
    columns, secrets, gone = _columns(found)
    silent = columns - values.keys() - redacted - absent
    redacted |= silent & secrets
    unknown = silent - secrets
    then = _names_then(found, {**following, **past})
    names = {n: then[n] for n in (*values, *redacted, *unknown) if n in then}
    there = ItemState(exists, values, frozenset(redacted), frozenset(unknown), names)
    return there, absent | (gone - columns)


def _columns(found: Past) -> tuple[set[str], set[str], set[str]]:
    """Return the audited columns at the time, the secret ones, and those that were not there.

    Where no row says its table, the declarations tell.
    """
    if not found.own_tables:
        columns, secrets = declared.columns_at(
            found.item_type, found.moment, found.rows, found.tables
        )
        return columns, secrets, set()
    then = [found.layouts.at(table, found.moment) for table in found.own_tables]
    gone = {
        one.name_now(name)
        for table in found.own_tables
        for one in found.layouts.of_table(table)
        for name in one.columns
        if not found.layouts.is_there(one.id, name, found.moment)
    }
    columns = {one.name_now(name) for one in then for name in one.columns}
    return columns, {one.name_now(name) for one in then for name in one.secret}, gone


def _names_then(found: Past, entries: Mapping[str, _Entry]) -> dict[str, str]:
    """Return what the columns that are called otherwise now were called at the time."""
    names: dict[str, str] = {}
    for table in found.own_tables:
        names |= found.layouts.at(table, found.moment).names_then()
    for column, entry in entries.items():
        table_now = found.layouts.table(entry.layout)
        if not entry.is_own and table_now is not None:
            path, _, last = column.rpartition("/")
            then = found.layouts.at(table_now, found.moment).names_then().get(last)
            if then is not None:
                names[column] = f"{path}/{then}"
    return names


def _entries(name: str, rows: Sequence[ResultRow], layouts: Layouts) -> Iterator[_Entry]:
    for kind, moment, number, tx, column, layout, change in rows:
        if kind in (name, f"{name} baseline"):
            shape = layouts.get(layout)
            now = column if shape is None else shape.name_now(column)
            event = (int(moment), number, tx)
            yield _Entry(now, column, event, layout, parse(change), kind != name)


def _began(found: Past) -> Callable[[_Entry], tuple[int, int, int]]:
    """Return what says when the item of an entry began: what was before was another of its id."""
    began: dict[str | None, tuple[int, int, int]] = {}
    for entry in found.past:
        if entry.is_own and entry.begins:
            table = found.table(entry)
            began[table] = max(began.get(table, _NEVER), entry.event)
    first = min(began.values(), default=_NEVER)
    return lambda e: began.get(found.table(e), _NEVER) if e.is_own else first


def _holds_before(found: Past, entry: _Entry) -> bool:
    """Return whether what a baseline says was so at the time before it.

    Since its table has its layout, the log has what changed.
    """
    shape = found.layouts.get(entry.layout)
    return shape is not None and shape.made_at <= found.moment


def _exists(found: Past, past: Iterable[_Entry], following: Iterable[_Entry]) -> bool | None:
    """Return whether the item existed between what was and what followed; None if none tells.

    Where several tables make one item, it exists as long as a row in one of them does.
    """
    past, following = list(past), list(following)
    tables = {found.table(e) for e in (*past, *following) if e.is_own}
    told = [
        _exists_in(
            found,
            [e for e in past if e.is_own and found.table(e) == table],
            [e for e in following if e.is_own and found.table(e) == table],
        )
        for table in tables
    ]
    if told:
        return True if any(told) else None if None in told else False
    following = [e for e in following if not e.is_baseline or _holds_before(found, e)]
    return True if any(not e.ends for e in past) or any(not e.begins for e in following) else None


def _exists_in(found: Past, past: Sequence[_Entry], following: Sequence[_Entry]) -> bool | None:
    """Return whether a row existed between its own entries, of which there are some."""
    if past:
        newest = max(e.event for e in past)
        return not any(e.ends for e in past if e.event == newest)
    oldest = min(e.event for e in following)
    first = [e for e in following if e.event == oldest]
    if any(e.is_baseline and not _holds_before(found, e) for e in first):
        return None
    return not any(e.begins for e in first)
