"""What an item was at some time, worked out from the changes before and after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
  select e.occurred_at, e.id, e.tx, e.layout, e.changes, e.moved,
    case when e.action = (e.item_type || '_baseline') then ' baseline' else '' end as kind
  from ({events}) as e
)
(select distinct on (e.layout, c.key) 'past' || e.kind, {moment}, e.id, e.tx, c.key, e.layout,
   c.value::text
 from event as e cross join lateral jsonb_each(e.changes) as c
 where e.occurred_at <= {time} and not coalesce(e.moved ? 'to', false)
 order by e.layout, c.key, e.occurred_at desc, e.id desc, e.tx desc)
union all
(select distinct on (e.layout, c.key) 'next' || e.kind, {moment}, e.id, e.tx, c.key, e.layout,
   c.value::text
 from event as e cross join lateral jsonb_each(e.changes) as c
 where e.occurred_at > {time} and not coalesce(e.moved -> 'from' ?| {names}, false)
 order by e.layout, c.key, e.occurred_at, e.id, e.tx)
union all
select 'moved', {moment}, e.id, e.tx, null, e.layout, e.moved::text
from event as e
where e.moved -> 'from' ?| {names} or e.moved -> 'to' ?| {names}
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
class _Move:
    """An event by which an item came to the id or account that was asked for, or left it."""

    event: tuple[int, int, int]
    """Where it belongs among the events of the item."""
    told: tuple[int, int, int]
    """Time, id and transaction of the row that tells it."""
    layout: int | None
    is_arrival: bool
    known_by: dict[str, str | None]
    """What the item was known by before it came, or is since it left."""


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
    former: Sequence[_Entry]
    """From before the item had its id, if it lived then and it lives now."""
    following: Sequence[_Entry]
    moves: Sequence[_Move]
    """All that there ever were, in their order."""
    own_tables: tuple[str, ...]
    """The tables whose rows the item is, as far as the log says them."""

    @property
    def moved_before(self) -> list[_Move]:
        """The moves until the time, itself included."""
        return [move for move in self.moves if move.event[0] <= self.moment]

    @property
    def moved_after(self) -> list[_Move]:
        """The moves after the time."""
        return [move for move in self.moves if move.event[0] > self.moment]

    def table(self, entry: _Entry | _Move) -> str | None:
        """Return the table of an entry, where the item is rows of several; else None for all."""
        return self.layouts.table(entry.layout) if len(self.own_tables) > 1 else None


def read(
    item: Item, time: datetime, account_id: Id | None, table: str | Sequence[str] | None
) -> Reading[Past]:
    """Ask for the last change of each column until `time`, and the next after it.

    With them come the layouts of the rows and the declarations of tables, which name the columns
    there are. Where the item was known by another id before, its past is that of this one. Raises
    InvalidQuestion where rows of several tables would be mixed.
    """
    moment = exact("time", time)
    found = yield from _around(item, moment, account_id, table)
    rows, known = found.rows, found
    former = list[_Entry]()
    while (arrival := _arrival(known)) is not None:
        item = (item[0], arrival.known_by.get("item_id", item[1]) or "")
        if account_id is not None:
            account_id = arrival.known_by.get("account_id", str(account_id))
        known = yield from _around(item, arrival.event[0], account_id, table)
        # The row about the item as it was comes right after the one about it as it is.
        left = min(
            (m for m in known.moves if not m.is_arrival and m.told > arrival.told),
            key=lambda m: m.told,
            default=arrival,
        )
        known = yield from _around(item, left.event[0] - 1, account_id, table)
        began = _began(known)
        former += [e for e in known.past if e.event >= began(e)]
        rows = [*rows, *known.rows]
    return replace(found, rows=rows, layouts=Layouts(rows), former=former)


def _around(
    item: Item, moment: int, account_id: Id | None, table: str | Sequence[str] | None
) -> Reading[Past]:
    wanted = filtered(account_id=account_id, item=item, include_parts=False, table=table)
    text = _AROUND.format(
        moment=MOMENT,
        events=select("*", wanted, (yield from whole(wanted))),
        layouts=OF_EVENTS,
        declared=(yield from declared.statement()),
        time=moment_of("time"),
        # That it is another account's is news to whom asked for one.
        names="array['item_id']" if account_id is None else "array['item_id', 'account_id']",
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
    moves = _moves(rows, past)
    return Past(item[0], moment, rows, wanted.tables, layouts, past, [], following, moves, own)


def _moves(rows: Sequence[ResultRow], past: Sequence[_Entry]) -> list[_Move]:
    """Return how the item came and went, in order.

    Of a statement that exchanges ids, what comes to one is told before what leaves it, as rows are
    gone through. So whoever comes where another one is makes place for itself: that one leaves.
    """
    told = (
        (int(row[1]), row[2], row[3], row[5], parse(row[6])) for row in rows if row[0] == "moved"
    )
    found = [
        _Move((moment, number, tx), (moment, number, tx), layout, side == "from", known_by)
        for moment, number, tx, layout, moved in told
        for side, known_by in moved.items()
    ]
    found.sort(key=lambda move: move.event)
    own = [e for e in past if e.is_own]
    for n in range(len(found) - 1):
        came, left = found[n : n + 2]
        if not came.is_arrival or left.is_arrival or came.told[2] != left.told[2]:
            continue
        told_before = [(e.event, not e.ends) for e in own if e.event < came.event]
        told_before += [(move.event, move.is_arrival) for move in found[:n]]
        is_there = max(told_before, default=(_NEVER, False))[1]
        if is_there and not any(came.event < e.event < left.event for e in own):
            moment, number, tx = came.event
            found[n : n + 2] = [replace(left, event=(moment, number - 1, tx)), came]
    return found


def _arrival(found: Past) -> _Move | None:
    """Return the move by which the item that lives at the time got its id, if it got it so."""
    moves = found.moved_before
    if not moves or not moves[-1].is_arrival:
        return None
    began = [e.event for e in found.past if e.is_own and e.begins]
    return moves[-1] if max(began, default=_NEVER) < moves[-1].event else None


def state(found: Past) -> ItemState:
    """Return the state of the item at the time."""
    return _read(found)[0]


def value(column: str, found: Past) -> Any:
    """Return the value of `column` in that state, or the NoValue that says why there is none.

    Raises InvalidQuestion for a column that neither the item nor a declaration ever had.
    """
    told = any(e.column == column for e in (*found.past, *found.former, *found.following))
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
    former = {e.column: e for e in sorted(found.former, key=lambda e: e.event)}
    past = former | {name: e for name, e in past.items() if e.event >= began(e)}
    # What comes after its end is said of another item of the same id.
    ends = [e.event for e in following.values() if e.is_own and e.ends]
    ends += [move.event for move in found.moved_after]
    if ends:
        following = {name: e for name, e in following.items() if e.event <= min(ends)}
    exists = _exists(found, past.values(), following.values())
    if exists is False:
        return ItemState(exists=False, moved=_moved(found)), set()
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


def _moved(found: Past) -> dict[str, dict[str, str | None]]:
    """Return what an item that is not there was known by before it had this id, or after it."""
    before = found.moved_before
    newest = max((e.event for e in found.past if e.is_own), default=_NEVER)
    if before or newest != _NEVER:
        left = before and not before[-1].is_arrival and before[-1].event > newest
        return {"to": before[-1].known_by} if left else {}
    return {"from": found.moves[0].known_by} if found.moves else {}


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
    for move in found.moved_before:
        if move.is_arrival:
            table = found.table(move)
            began[table] = max(began.get(table, _NEVER), move.event)
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
    tables |= {found.table(move) for move in found.moves}
    told = [
        _exists_in(
            found,
            [e for e in past if e.is_own and found.table(e) == table],
            [e for e in following if e.is_own and found.table(e) == table],
            [move for move in found.moved_before if found.table(move) == table],
            [move for move in found.moved_after if found.table(move) == table],
        )
        for table in tables
    ]
    if told:
        return True if any(told) else None if None in told else False
    following = [e for e in following if not e.is_baseline or _holds_before(found, e)]
    return True if any(not e.ends for e in past) or any(not e.begins for e in following) else None


def _exists_in(
    found: Past,
    past: Sequence[_Entry],
    following: Sequence[_Entry],
    before: Sequence[_Move],
    after: Sequence[_Move],
) -> bool | None:
    """Return whether a row existed between its own entries and moves, of which there are some."""
    newest = max((e.event for e in past), default=_NEVER)
    if before and before[-1].event >= newest:
        return before[-1].is_arrival
    if past:
        return not any(e.ends for e in past if e.event == newest)
    oldest = min((e.event for e in following), default=None)
    if after and (oldest is None or after[0].event <= oldest):
        return not after[0].is_arrival
    first = [e for e in following if e.event == oldest]
    if any(e.is_baseline and not _holds_before(found, e) for e in first):
        return None
    return not any(e.begins for e in first)
