"""What tables look like and hold, and what the log owes for the difference that a write made."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

# A row by its tag, which nothing changes: its columns, as the log shows them.
Picture = Mapping[int, Mapping[str, Any]]

TABLES = """
select c.oid, n.nspname, c.relname, c.relkind, c.relispartition, i.inhparent,
  (select json_agg(json_build_array(a.attname, format_type(a.atttypid, null), a.attnum,
      a.attgenerated,
      y.typtype, coalesce(e.typtype, ''), a.attidentity) order by a.attnum)
   from pg_attribute as a join pg_type as y on y.oid = a.atttypid
   left join pg_type as e on e.oid = y.typelem and y.typlen = -1
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  (select array(select unnest(x.indkey)) from pg_index as x
   where x.indrelid = c.oid and x.indisprimary)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
left join pg_inherits as i on i.inhrelid = c.oid
where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|audit$|information_schema$)'
order by n.nspname, c.relname
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and how the log shows its type."""

    name: str
    type: str
    number: int
    generated: str
    kind: str  # pg_type.typtype, of the type and of its elements
    element: str
    identity: str

    @property
    def shown(self) -> str:
        """SQL that shows the column as the log does."""
        name = quoted(self.name)
        if self.type == "timestamp with time zone":
            return f"to_jsonb((to_jsonb({name} at time zone 'UTC') #>> '{{}}') || '+00:00')"
        cast = "::text" if self.kind == "c" else "::text[]" if self.element == "c" else ""
        return f"to_jsonb({name}{cast})"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the application."""

    oid: int
    schema: str
    name: str
    kind: str
    is_partition: bool
    parent: int | None
    columns: tuple[Column, ...]
    key: tuple[int, ...]

    @property
    def sql(self) -> str:
        """The name in SQL, with its schema."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def names(self, numbers: tuple[int, ...]) -> tuple[str, ...] | None:
        """Return the names of columns in their order, None if one is gone."""
        found = tuple(column.name for column in self.columns if column.number in numbers)
        return found if len(found) == len(set(numbers)) else None


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def read_tables(conn: psycopg.Connection) -> list[Table]:
    """Return the tables whose rows have tags, in the order of their names."""
    tables = [
        Table(
            oid=oid,
            schema=schema,
            name=name,
            kind=kind,
            is_partition=is_partition,
            parent=parent,
            columns=tuple(Column(*column) for column in columns or ()),
            key=tuple(key or ()),
        )
        for oid, schema, name, kind, is_partition, parent, columns, key in conn.execute(TABLES)
    ]
    return [table for table in tables if any(c.name == "tag" for c in table.columns)]


def picture(conn: psycopg.Connection, table: Table, *, drawn: bool = True) -> Picture:
    """Return what a table holds, or that without the numbers it draws itself."""
    shown = ", ".join(
        f"'{column.name.replace(chr(39), chr(39) * 2)}', {column.shown}"
        for column in table.columns
        if column.generated != "v" and (drawn or not column.identity)
    )
    only = "only " if table.kind == "r" else ""
    query = f"select tag, jsonb_build_object({shown})::text from {only}{table.sql}"
    return {tag: loaded(text) for tag, text in conn.execute(query.encode())}


def loaded(text: str) -> dict[str, Any]:
    """Return the object that a JSON text is, with numbers as they are written."""
    found: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return found


def canonical(value: Any) -> str:
    """Return a text that is the same for what looks the same."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {canonical(value[name])}' for name in sorted(value))}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(canonical, value))}]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


@dataclass(slots=True)
class Tracked:
    """What is tracked of a table: its items, and the columns that tell its rows apart."""

    item_type: str
    key: tuple[int, ...]


def item_id(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the id that the log gives a row."""
    texts = [v if isinstance(v := row[name], str) else json_text(v) for name in names]
    if len(texts) == 1:
        return texts[0]
    return "/".join(text.replace("~", "~0").replace("/", "~1") for text in texts)


def json_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def owed(
    tracked: Tracked, names: tuple[str, ...], before: Picture, after: Picture
) -> Iterator[str]:
    """Yield what the log owes for the difference between two pictures of a table."""
    for tag in sorted(before.keys() | after.keys()):
        old, new = before.get(tag), after.get(tag)
        if old is None and new is not None:
            changes = {name: {"new": v} for name, v in new.items()}
            yield entry(tracked, "created", item_id(new, names), changes)
        elif new is None and old is not None:
            changes = {name: {"old": v} for name, v in old.items()}
            yield entry(tracked, "deleted", item_id(old, names), changes)
        elif old is not None and new is not None:
            changes = {
                name: {"old": old[name], "new": new[name]}
                for name in new
                if canonical(old[name]) != canonical(new[name])
            }
            if changes:
                yield entry(tracked, "updated", item_id(new, names), changes)


def entry(tracked: Tracked, action: str, item: str, changes: Mapping[str, Any]) -> str:
    return f"{tracked.item_type}_{action} {tracked.item_type} {item!r} {canonical(dict(changes))}"


class Log:
    """The rows of the log that were not looked at yet."""

    def __init__(self) -> None:
        self.mark = 0
        self.seen: set[int] = set()
        # What the last look found deleted: the type of the item, and whether by a cascade.
        self.deleted: set[tuple[str, bool]] = set()

    def new(self, conn: psycopg.Connection) -> Counter[str]:
        """Return the new rows that tell of rows."""
        # The number of a row has the process in it, which may be ahead by 4 ms of another.
        found = conn.execute(
            "select id, action, item_type, item_id, changes::text, is_cascade, moved::text"
            " from audit.events"
            " where id > %s order by id",
            [self.mark - 2**24],
        ).fetchall()
        fresh = [row for row in found if row[0] not in self.seen]
        self.seen = {row[0] for row in found}
        self.mark = max([self.mark, *self.seen])
        rows: Counter[str] = Counter()
        self.deleted = set()
        left: Counter[str] = Counter()
        owed: Counter[str] = Counter()
        for _, action, item_type, item, changes, is_cascade, moved in fresh:
            if item_type == "table":
                continue
            told, sides = canonical(loaded(changes or "{}")), json.loads(moved or "{}")
            if "to" in sides:
                left[f"{action} {item_type} {item!r} {told}"] += 1
                continue
            if "from" in sides:
                owed[f"{action} {item_type} {sides['from']['item_id']!r} {told}"] += 1
            rows[f"{action} {item_type} {item!r} {told}"] += 1
            if action.endswith("_deleted"):
                self.deleted.add((item_type, is_cascade))
        # Whoever gets another id is told by both.
        for line, number in (left - owed).items():
            rows[f"{line}, as what it was, of no move"] += number
        for line, number in (owed - left).items():
            rows[f"{line}, not told as what it was"] += number
        return rows
