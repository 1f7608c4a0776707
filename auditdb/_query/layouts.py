"""The layouts of rows: how columns and tables are called now, and which there were at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditdb._query.statements import MOMENT
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from auditdb._connection.runner import ResultRow
    from auditdb._query.filters import Item

_OF_EVENTS = """
select 'layout', {made_at}, y.id::bigint, y.tracked_id::bigint, y.table_name, y.id,
  json_build_object('columns', y.columns, 'secret', y.secret, 'secret_numbers', y.secret_numbers,
    'numbers', y.numbers, 'relation', y.relation::text, 'renamed', y.renamed)::text
from audit.layout as y
where y.tracked_id = any (
  select n.tracked_id from audit.layout as n where n.id = any (select e.layout from event as e))
"""
OF_EVENTS = _OF_EVENTS.format(made_at=MOMENT.replace("occurred_at", "y.made_at"))
"""All layouts of the declarations that the rows of `event` were written by, as Layouts reads them.
"""

NAME_NOW = "case when y.renamed is null then {key} else audit.name_now(y.renamed, {key}) end"
"""What a column of a row with layout `y` is called now, as in audit.changes."""

TABLE_NOW = """(select n.table_name from audit.layout as n
  where n.tracked_id = y.tracked_id order by n.id desc limit 1)"""
"""What the table of a row with layout `y` is called now."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the rows of a table were like from some time on."""

    id: int
    declaration: int
    made_at: int
    """In microseconds since 1970."""
    relation: str | None
    """The table that the numbers of columns count in."""
    columns: dict[str, int | None]
    """The audited columns as they were called, each with its number."""
    secret: frozenset[str]
    numbers: frozenset[int] | None
    """Of all columns that there were."""
    renamed: dict[str, str]
    """Those that are called otherwise now."""

    def name_now(self, column: str) -> str:
        """Return what a column of this layout, or the path of a part's one, is called now."""
        if column in self.renamed:
            return self.renamed[column]
        pieces = column.split("/", 2)
        if len(pieces) == 3 and pieces[2] in self.renamed:
            return "/".join([*pieces[:2], self.renamed[pieces[2]]])
        return column

    def number(self, column: str) -> int | None:
        """Return the number of a column, or of a part's one by its path, if it is known."""
        if column in self.columns:
            return self.columns[column]
        return self.columns.get(column.split("/", 2)[-1])

    def names_then(self) -> dict[str, str]:
        """Return what those columns were called that are called otherwise now."""
        return {now: then for then, now in self.renamed.items()}


class Layouts:
    """The layouts of the declarations that some rows were written by."""

    def __init__(self, rows: Iterable[ResultRow]) -> None:
        found = [(_layout(row), row[4]) for row in rows if row[0] == "layout"]
        found.sort(key=lambda one: one[0].id)
        self._all = {layout.id: layout for layout, _ in found}
        self._tables = {layout.declaration: table for layout, table in found}

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables by the names that they have now, or had last."""
        return tuple(sorted(set(self._tables.values())))

    def table(self, number: int | None) -> str | None:
        """Return how the table of a layout is called now, or was last."""
        layout = self.get(number)
        return None if layout is None else self._tables[layout.declaration]

    def get(self, number: int | None) -> Layout | None:
        """Return a layout by its number, if there is one."""
        return None if number is None else self._all.get(number)

    def of_table(self, table: str) -> Iterator[Layout]:
        """Yield the layouts of a table, by the name that it has now, oldest first."""
        return (one for one in self._all.values() if self._tables[one.declaration] == table)

    def at(self, table: str, moment: int) -> Layout:
        """Return the layout of a table at a time; the first one stands for the time before it."""
        ordered = list(self.of_table(table))
        before = [one for one in ordered if one.made_at <= moment]
        return max(before, key=lambda one: (one.made_at, one.id)) if before else ordered[0]

    def is_there(self, number: int | None, column: str, moment: int) -> bool:
        """Return whether a column that rows of a layout have was there at a time, for all we know.

        In one table a column is known by its number. In a table made anew it is the one of that
        name: where there is none, it has gone, unless the declaration is the same and it was there
        till the end: then it may be there and not audited any more.
        """
        layout = self.get(number)
        place = None if layout is None else layout.number(column)
        if layout is None or place is None:
            return True
        then = self.at(self._tables[layout.declaration], moment)
        if then.numbers is None:
            return True
        if then.relation == layout.relation:
            return place in then.numbers
        last = [one for one in self._all.values() if one.relation == then.relation]
        name = layout.name_now(column.split("/", 2)[-1] if column not in layout.columns else column)
        places = {one.name_now(n): p for one in last for n, p in one.columns.items()}
        if name in places:
            return places[name] in then.numbers
        if then.declaration != layout.declaration or then.id < layout.id:
            return False
        final = [one for one in self._all.values() if one.relation == layout.relation][-1]
        return final.numbers is None or place in final.numbers

    def names_now(self, tables: Iterable[str]) -> set[str]:
        """Return all columns that tables have or had, by the names that they have now."""
        return {
            one.name_now(name)
            for table in tables
            for one in self.of_table(table)
            for name in one.columns
        }

    def check_name(self, column: str, tables: Sequence[str]) -> bool:
        """Return whether tables have or had a column; raises InvalidQuestion for a former name."""
        if column in self.names_now(tables):
            return True
        for table in tables:
            for one in self.of_table(table):
                if column in one.renamed:
                    now = one.renamed[column]
                    raise InvalidQuestion(
                        f"The column {column!r} of {table} is called {now!r} now.",
                        hint="Its whole history is under that name.",
                    )
        return False


def check_one(item: Item, tables: Iterable[str | None], wanted: object) -> None:
    """Raise InvalidQuestion where rows about an item come from several tables, not `wanted` so."""
    names = sorted({name for name in tables if name is not None})
    if wanted is None and len(names) > 1:
        raise InvalidQuestion(
            f"{item[0]} {item[1]} is an item of {len(names)} tables: {', '.join(names)}.",
            hint=f"Give table={names[0]!r}; or all of them, if they make one item.",
        )


def _layout(row: ResultRow) -> Layout:
    _, moment, number, declaration, _, _, text = row
    found: dict[str, Any] = json.loads(text)
    secret = dict.fromkeys(found["secret"]) | dict(
        zip(found["secret"], found["secret_numbers"], strict=False)
    )
    numbers = found["numbers"]
    return Layout(
        id=number,
        declaration=declaration,
        made_at=int(moment),
        relation=found["relation"],
        columns={one["name"]: one["number"] for one in found["columns"]} | secret,
        secret=frozenset(secret),
        numbers=None if numbers is None else frozenset(numbers),
        renamed=found["renamed"] or {},
    )
