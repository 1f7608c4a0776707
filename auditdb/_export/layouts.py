"""The layouts that exported rows name: whose rows they were, and how their texts are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from auditdb._export.formats.documents import is_text
from auditdb.errors import ExportFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

_QUERY = """
select pg_catalog.to_jsonb(y.*)
from audit.layout as y
where y.id = any (%s)
order by y.id
"""
# As PostgreSQL prints the fields of a record: quoted where they hold what would end them.
_FIELD = r'(?:"[^"\\]*(?:(?:""|\\\\)[^"\\]*)*"|[^"\\(),\s]*)'
# What becomes the text of a type is a name and nothing else.
_KEPT_AS = re.compile(r'pg_catalog\.(\w+|"\w+")(\[\])?', re.ASCII)
_MOST_COLUMNS = 1600
_COLUMN = {"name", "number", "type", "kept_as"}
_OID = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)
_MADE_AT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?[+-][01]\d(:\d\d){0,2}", re.ASCII
)
# Numbers of layouts, as rows name them; those of declarations are below zero for other logs.
_NUMBERS = range(1, 10**9)
_DECLARATIONS = range(-(2**31), 2**31)
# Numbers of columns are smallint.
_PLACES = range(1, 2**15)


@dataclass(frozen=True)
class Layout:
    """A shape of rows, as audit.layout has it."""

    id: int
    tracked_id: int
    table_name: str
    columns: tuple[dict[str, Any], ...]
    secret: tuple[str, ...]
    secret_numbers: tuple[int | None, ...]
    numbers: tuple[int, ...] | None
    relation: int | None
    made_at: str

    def as_json(self) -> dict[str, Any]:
        """Return what from_json() reads."""
        return {
            "id": self.id,
            "tracked_id": self.tracked_id,
            "table_name": self.table_name,
            "columns": list(self.columns),
            "secret": list(self.secret),
            "secret_numbers": list(self.secret_numbers),
            "numbers": None if self.numbers is None else list(self.numbers),
            "relation": self.relation,
            "made_at": self.made_at,
        }

    def check(self, row_values: str) -> None:
        """Raise ValueError where a text is not that of a record with the columns of the layout."""
        if not self._record.fullmatch(row_values):
            raise ValueError(
                f"its row_values are no record of {len(self.columns)} columns of layout {self.id},"
                f" {self.table_name}"
            )

    @cached_property
    def _record(self) -> re.Pattern[str]:
        more = len(self.columns) - 1
        fields = f"{_FIELD}(?:,{_FIELD}){{{more}}}" if more >= 0 else ""
        return re.compile(rf"\({fields}\)", re.ASCII)


def read(connection: psycopg.Connection[Any], numbers: Sequence[int]) -> tuple[Layout, ...]:
    """Return the layouts of these numbers; raises ExportFailed where the log has not all."""
    found = tuple(from_json(row) for (row,) in connection.execute(_QUERY, [list(numbers)]))
    if lacking := set(numbers) - {one.id for one in found}:
        raise ExportFailed(
            f"Rows of the log name layout {min(lacking)}, which audit.layout has not.",
            hint="Restore the rows of audit.layout, and call audit.refresh().",
        )
    return found


def from_json(found: Any) -> Layout:
    """Return the layout that as_json() wrote; raises ValueError for anything else."""
    try:
        one = Layout(
            found["id"],
            found["tracked_id"],
            found["table_name"],
            tuple(found["columns"]),
            tuple(found["secret"]),
            tuple(found["secret_numbers"]),
            None if found["numbers"] is None else tuple(found["numbers"]),
            _oid(found["relation"]),
            found["made_at"],
        )
        columns = [(c["name"], c["kept_as"], c["type"], c["number"]) for c in one.columns]
    except (KeyError, TypeError) as error:
        raise ValueError("this is no layout") from error
    names = [*(name for name, *_ in columns), *one.secret]
    texts = [one.table_name, one.made_at, *names, *(kind for _, _, kind, _ in columns)]
    places = [
        *(number for *_, number in columns),
        *(number for number in one.secret_numbers if number is not None),
        *(one.numbers or ()),
    ]
    if not all(is_text(text) and text for text in texts):
        raise ValueError("a layout has a name that is none")
    if not (
        _is_one_of(_NUMBERS, one.id)
        and _is_one_of(_DECLARATIONS, one.tracked_id)
        and all(_is_one_of(_PLACES, place) for place in places)
    ):
        raise ValueError(f"layout {str(one.id)[:20]} has a number that is none")
    if not _is_time(one.made_at):
        raise ValueError(f"layout {one.id} was made at no time")
    # A longer name would be cut off, and then be another's.
    too_long = any(len(name.encode()) > 63 for name in names)
    if too_long or len(set(names)) != len(names) or len(columns) > _MOST_COLUMNS:
        raise ValueError(f"layout {one.id} has columns that no table has")
    if len(one.secret) != len(one.secret_numbers) or any(c.keys() != _COLUMN for c in one.columns):
        raise ValueError(f"layout {one.id} has columns of another form")
    for name, kept_as, *_ in columns:
        if type(kept_as) is not str or not _KEPT_AS.fullmatch(kept_as):
            raise ValueError(f"layout {one.id} keeps {name} as what is no type")
    return one


def _is_one_of(numbers: range, found: Any) -> bool:
    return type(found) is int and found in numbers


def _oid(found: Any) -> int | None:
    """Return the oid that PostgreSQL or a manifest says; raises ValueError for anything else."""
    if found is None:
        return None
    number = int(found) if type(found) is str and _OID.fullmatch(found) else found
    if not _is_one_of(range(2**32), number):
        raise ValueError("a layout has a relation that is none")
    return int(number)


def _is_time(found: str) -> bool:
    match = _MADE_AT.fullmatch(found)
    try:
        return match is not None and datetime.fromisoformat(match[1]).year > 0
    except ValueError:
        return False


def all_from_json(found: Any) -> tuple[Layout, ...]:
    """Return the layouts of an export; raises ValueError where there are others."""
    if type(found) is not list:
        raise ValueError("its layouts are no list")
    layouts = tuple(from_json(one) for one in found)
    if len({one.id for one in layouts}) != len(layouts):
        raise ValueError("it has two layouts of one number")
    return layouts
