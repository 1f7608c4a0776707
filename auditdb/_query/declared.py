"""What the log tells of declarations: which columns the items of a type have, and have ever had."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditdb._query.filters import filtered
from auditdb._query.months import whole
from auditdb._query.records import parse
from auditdb._query.statements import MOMENT
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditdb._connection.runner import Reading, ResultRow

_DECLARED = """
select 'declared', {moment}, e.id, e.tx, e.item_id, cast(null as integer), e.changes::text
from audit.events as e
where e.account_id = '' and e.item_type = 'table'
  and e.action = any (array['tracking_started', 'tracking_changed']) and {months}
"""
_NEAREST = 3

Tables = dict[str, dict[str, Any]]
"""The declarations of tables by their names, each with the columns of its table."""


def statement() -> Reading[str]:
    """Return the select of all declarations, for whoever may see them, after asking for months."""
    months = (yield from whole(filtered(account_id=""))).conditions()
    return _DECLARED.format(moment=MOMENT, months=" and ".join(months) or "true")


def columns_at(
    item_type: str, moment: int, rows: Sequence[ResultRow], tables: Sequence[str] | None = None
) -> tuple[set[str], set[str]]:
    """Return the audited columns of an item at a time, and the secret ones, as declared."""
    # The first declaration stands for the time before it too.
    then: Tables = {}
    for declared_at, was, table, now in _changes(rows):
        if declared_at <= moment or was not in then:
            then[table] = then.pop(was, {}) | now
    found = [
        t
        for name, t in then.items()
        if t.get("item_type") == item_type
        and not t.get("part")
        and (tables is None or name in tables)
    ]
    columns = {c for t in found for c in t.get("columns", ()) if c not in t.get("operational", ())}
    return columns, {c for t in found for c in t.get("secret", ())}


def check_column(item_type: str, column: str, rows: Sequence[ResultRow]) -> None:
    """Raise InvalidQuestion for a column that no declaration in `rows` ever gave to the item type.

    Where they tell nothing of the type, or its own tables, every column might be right: a role
    under row security sees none, and an archive of one account has none.
    """
    known = _ever(item_type, rows)
    if known.own and not known.has(column):
        nearest = known.nearest(column)
        raise InvalidQuestion(
            f"Items of type {item_type} never had a column {column!r}.",
            hint=f"Similar columns: {', '.join(nearest)}.",
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """All columns that items of a type ever had, in whatever table."""

    own: set[str] = field(default_factory=set)
    parts: dict[str, set[str]] = field(default_factory=dict)
    """The columns of each kind of part; in `changes` they are paths, features/F1/max_consumption.
    """

    def has(self, column: str) -> bool:
        """Return whether this is a column of the items or of a part, whatever the part's name."""
        if column in self.own:
            return True
        for part, columns in self.parts.items():
            if column.startswith(f"{part}/"):
                _, _, rest = column.removeprefix(f"{part}/").partition("/")
                if rest in columns:
                    return True
        return False

    def nearest(self, column: str) -> list[str]:
        """Return the names that are most like `column`; the part in a path keeps its name."""
        pieces = column.split("/")
        name = pieces[1] if len(pieces) > 2 else "NAME"
        paths = [f"{part}/{name}/{one}" for part, columns in self.parts.items() for one in columns]
        # Sorted, so that the same question has the same answer.
        return difflib.get_close_matches(column, sorted([*self.own, *paths]), _NEAREST, cutoff=0)


def _ever(item_type: str, rows: Sequence[ResultRow]) -> _Known:
    known = _Known()
    tables: Tables = {}
    for _, was, table, now in _changes(rows):
        found = tables[table] = tables.pop(was, {}) | now
        if found.get("item_type") != item_type:
            continue
        part, columns = found.get("part"), found.get("columns", ())
        if not part:
            known.own.update(columns)
        if part or any(action.get("grouped") for action in found.get("actions", ())):
            # A grouped action of a table that is no part puts its rows below the item type.
            known.parts.setdefault(part or item_type, set()).update(columns)
    return known


def _changes(rows: Sequence[ResultRow]) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    """Yield when a table was declared, its names before and after, and what was declared."""
    found = sorted(rows, key=lambda row: (int(row[1]), row[2], row[3]))
    for kind, moment, _, _, table, _, text in found:
        changes = (parse(text) if kind == "declared" else None) or {}
        now = {name: change.get("new") for name, change in changes.items()}
        if now:
            yield int(moment), changes.get("table", {}).get("old") or table, table, now
