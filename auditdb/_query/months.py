"""Says which months a query has to read: what lies ahead, what is closed, and in which steps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from auditdb._connection.runner import Query
from auditdb._query import page_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditdb._connection.runner import Reading
    from auditdb._query.filters import Filter
    from auditdb._query.page_cursor import Position

# So many months before the newest of a page each step begins, where it is not known which months
# have rows: most pages end in the first one, and planning for ten years of months costs more than
# reading a page.
_STEPS = (2, 11, 59)

# The partitions ahead are nearly always empty: a page that has no upper bound would lock them all.
_HORIZON = """
select case when isfinite(h.at)
  then to_char((h.at - interval '1 microsecond') at time zone 'UTC', 'YYYY-MM') end
from audit.horizon(cast(cast(:end as text) as timestamptz)) as h (at)
"""
# Bounds that somebody chose within a month count as not closed, and so do the years before Christ,
# which have the numbers of others.
_PRESENCE = """
select json_agg(json_build_array(
  case when isfinite(p.lower_bound) then to_char(p.lower_bound at time zone 'UTC', 'YYYY-MM') end,
  to_char(p.upper_bound at time zone 'UTC', 'YYYY-MM'),
  p.rows) order by p.upper_bound desc)::text
from audit.presence_of(cast(:account_id as text), cast(:item_type as text),
  cast(:item_id as text)) as p
where isfinite(p.upper_bound)
  and p.upper_bound > '0001-01-01 00:00:00+00'
  and (not isfinite(p.lower_bound) or p.lower_bound >= '0001-01-01 00:00:00+00')
  and date_trunc('month', p.upper_bound, 'UTC') = p.upper_bound
  and (not isfinite(p.lower_bound) or date_trunc('month', p.lower_bound, 'UTC') = p.lower_bound)
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Months that follow each other: from one on, until before another; None is without end.

    A month is its number since the year 0.
    """

    first: int | None = None
    end: int | None = None

    @property
    def is_brief(self) -> bool:
        """Whether these are a few months only."""
        return self.first is not None and self.end is not None and self.end - self.first <= 3

    def condition(self) -> str:
        """Return what confines a query to these months; empty where nothing does."""
        bounds = ((">=", self.first), ("<", self.end))
        return " and ".join(
            f"occurred_at {sign} timestamptz '{_moment(month)}'"
            for sign, month in bounds
            if month is not None
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Months of the log that one query reads, newest first.

    They are written into the statement as constants, so that PostgreSQL leaves out the partitions
    of other months when it plans, with prepared statements too.
    """

    spans: tuple[Span, ...] = (Span(),)

    def conditions(self) -> list[str]:
        """Return what confines a query to these months."""
        each = [span.condition() for span in self.spans]
        if not each:
            return ["false"]
        if not all(each):
            return []
        return each if len(each) == 1 else [f"({' or '.join(f'({one})' for one in each)})"]


@dataclass(frozen=True, slots=True)
class Closed:
    """A partition whose rows are counted: nothing is in it but what its summary says."""

    span: Span
    rows: int


def newest(wanted: Filter, before: Position | None) -> int | None:
    """Return the time that no event of `wanted` before a position is later than, if there is one.

    None where it would be in months to come: what lies there, if anything, look() asks for.
    """
    ends = [] if wanted.until is None else [wanted.until - 1]
    if before is not None:
        ends.append(before.moment)
    last = min(ends, default=None)
    return None if last is None or _month(last) > _this_month() else last


def look(last: int | None) -> Reading[int | None]:
    """Ask for the month before which all that is `wanted` is, unless a `last` time says it."""
    if last is not None:
        return _month_after(last)
    ((month,),) = yield Query(_HORIZON, {"end": _moment(_this_month() + 1)})
    return None if month is None else _number(month) + 1


def recall(wanted: Filter) -> Reading[tuple[Closed, ...]]:
    """Ask for the closed partitions, newest first, and what they have of an account or its item.

    Where `wanted` names no account there are none: nothing is counted over all of them.
    """
    if wanted.account_id is None:
        return ()
    kind, number = wanted.item or ("", "")
    values: dict[str, str | int] = {
        "account_id": wanted.account_id,
        "item_type": kind,
        "item_id": number,
    }
    ((found,),) = yield Query(_PRESENCE, values)
    return tuple(
        Closed(Span(None if first is None else _number(first), _number(end)), rows)
        for first, end, rows in json.loads(found or "[]")
    )


def recent(wanted: Filter, last: int | None, end: int | None) -> tuple[Window, int | None]:
    """Return the months before `end` that a page reads first, and where older ones begin, if any.

    They are the month of the `last` time, or this one, and those shortly before.
    """
    span, _ = next(_steps(Span(_lowest(wanted), end), _this(last)))
    return Window((span,)), None if span.first == _lowest(wanted) else span.first


def windows(
    wanted: Filter, last: int | None, end: int | None, known: Sequence[Closed], needed: int
) -> Iterator[Window]:
    """Yield disjoint windows, newest first, that hold all of `wanted` before the month `end`.

    Of what is `known` of closed partitions, as many are read together as should have the `needed`
    rows, then four times as many, and so on: the rows may not be those that are wanted.
    """
    gathered: list[Span] = []
    rows, least = 0, 1
    for span, count in _pieces(Span(_lowest(wanted), end), _this(last), known):
        if count is None and not span.is_brief:
            if gathered:
                yield Window(_joined(gathered))
            yield Window((span,))
            gathered, rows = [], 0
            continue
        gathered.append(span)
        rows += count or 0
        if rows >= needed and len(gathered) >= least:
            yield Window(_joined(gathered))
            gathered, rows, least = [], 0, least * 4
    if gathered:
        yield Window(_joined(gathered))


def around(moment: int) -> Window:
    """Return the month of a time, and all that Python's years cannot tell from it."""
    month = _month(moment)
    return Window((Span(None if moment <= page_cursor.FIRST else month, _month_after(moment)),))


def whole(wanted: Filter) -> Reading[Window]:
    """Ask for all months that `wanted` can be in, without the closed ones that have nothing."""
    last = newest(wanted, None)
    reach = Span(_lowest(wanted), (yield from look(last)))
    known = yield from recall(wanted)
    return Window(_joined([span for span, _ in _pieces(reach, _this(last), known)]))


def _pieces(reach: Span, this: int, known: Sequence[Closed]) -> Iterator[tuple[Span, int | None]]:
    """Yield the months of `reach`, newest first: closed ones that have rows, with their number.

    What is not closed comes in steps, each longer than the one before, and without a number.
    """
    end = reach.end
    for one in known:
        until = one.span.end if end is None else min(end, one.span.end or end)
        lowest = _later(one.span.first, reach.first)
        if until is None or (lowest is not None and lowest >= until):
            continue
        if end is None or until < end:
            yield from _steps(Span(until, end), this)
        if one.rows:
            yield Span(lowest, until), one.rows
        if lowest is None:
            return
        end = lowest
    if reach.first is None or end is None or end > reach.first:
        yield from _steps(Span(reach.first, end), this)


def _steps(span: Span, this: int) -> Iterator[tuple[Span, None]]:
    end = span.end
    for back in _STEPS:
        start = this - back
        if start < 12 or (span.first is not None and start <= span.first):
            break
        if end is None or start < end:
            yield Span(start, end), None
            end = start
    yield Span(span.first, end), None


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for span in spans:
        if joined and span.end is not None and joined[-1].first == span.end:
            joined[-1] = Span(span.first, joined[-1].end)
        else:
            joined.append(span)
    return tuple(joined)


def _this(last: int | None) -> int:
    return _this_month() if last is None else _month(last)


def _lowest(wanted: Filter) -> int | None:
    return None if wanted.since is None else _month(wanted.since)


def _later(month: int | None, other: int | None) -> int | None:
    given = [one for one in (month, other) if one is not None]
    return max(given, default=None)


def _number(month: str) -> int:
    year, of_year = month.split("-")
    return int(year) * 12 + int(of_year) - 1


def _moment(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}-01 00:00:00+00"


def _this_month() -> int:
    return _month(page_cursor.microseconds(datetime.now(UTC)))


def _month(moment: int) -> int:
    utc = page_cursor.to_datetime(moment)
    return utc.year * 12 + utc.month - 1


def _month_after(moment: int) -> int | None:
    # The last year of Python also stands for all later ones.
    month = _month(moment) + 1
    return month if month < 10_000 * 12 else None
