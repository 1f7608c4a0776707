"""Random DDL and random writes, as texts, drawn from the tables as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import psycopg

from tests.support.ddl_model import Column, Table, quoted, read_tables

SCHEMAS = ("public", "s1", "s2")
TYPES = """
select y.oid, format('%I.%I', n.nspname, y.typname), y.typtype, n.nspname,
  y.typtype = 'c' and c.relkind = 'c'
from pg_type as y join pg_namespace as n on n.oid = y.typnamespace
left join pg_class as c on c.oid = y.typrelid
where n.nspname !~ '^(pg_|audit$|information_schema$)' and y.typelem = 0
  and y.typtype in ('e', 'd', 'c', 'r') and coalesce(c.relkind, 'c') = 'c'
order by 2
"""
PLAIN = {
    "integer": ("1", "2", "-3", "40"),
    "bigint": ("1", "2", "5000000000"),
    "smallint": ("1", "7"),
    "text": ("a", "b c", "", "it''s"),
    "character varying": ("v", "w", "a long one"),
    "numeric": ("1.0", "1.00", "2.5"),
    "boolean": ("t", "f"),
    "date": ("2024-02-29", "2025-01-01"),
    "timestamp with time zone": ("2024-02-29 12:00+02", "2025-01-01 00:00:00.5+00"),
    "jsonb": ('{"a": 1}', "[1, 2]", '"x"'),
    "integer[]": ("{1,2}", "{}"),
    "text[]": ("{a,b}", "{}"),
    "uuid": ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-00000000000a"),
}


@dataclass(slots=True)
class Scene:
    """What can be written of: read anew before each step."""

    rng: Random
    conn: psycopg.Connection
    owner: str
    tables: list[Table] = field(default_factory=list)
    numbers: int = 0

    def look(self) -> None:
        self.tables = read_tables(self.conn)

    def fresh(self, prefix: str) -> str:
        self.numbers += 1
        return f"{prefix}{self.numbers}"

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return list(self.conn.execute(query.encode()))

    def one_of(self, query: str) -> tuple[str, ...]:
        """Return one row of those that a query finds, as texts.

        Raises:
            LookupError: if it finds none.
        """
        return tuple(map(str, self.rng.choice(self.rows(query))))

    def table(self, kinds: str = "rp", *, is_partition: bool | None = False) -> Table:
        """Return one of the tables.

        Raises:
            LookupError: if there is none of the kind.
        """
        return self.rng.choice(
            [
                table
                for table in self.tables
                if table.kind in kinds
                and (is_partition is None or table.is_partition == is_partition)
            ]
        )

    def column(self, table: Table, *types: str) -> Column:
        return self.rng.choice(
            [c for c in table.columns if c.name != "tag" and (not types or c.type in types)]
        )

    def type(self) -> str:
        """Return the name of a type, of the application as often as not."""
        own = [str(row[1]) for row in self.rows(TYPES)]
        if self.rows("select 1 from pg_extension where extname = 'citext'"):
            (schema,) = self.one_of(
                "select extnamespace::regnamespace from pg_extension where extname = 'citext'"
            )
            own.append(f"{schema}.citext")
        if own and self.rng.random() < 0.6:
            return self.rng.choice(own) + self.rng.choice(["", "", "[]"])
        return self.rng.choice(list(PLAIN))

    def literal(self, column: Column) -> str:
        """Return a value for a column, as SQL."""
        if self.rng.random() < 0.12:
            return "null"
        if column.type in PLAIN:
            if column.type in ("integer", "bigint"):
                return str(self.rng.randint(1, 40))
            return f"'{self.rng.choice(PLAIN[column.type])}'"
        bare = column.type.removesuffix("[]")
        one = self.own(bare, column.element if bare != column.type else column.kind)
        return f"'{{\"{one}\"}}'" if bare != column.type else f"'{one}'"

    def own(self, name: str, kind: str) -> str:
        """Return the text of a value of one of the application's types."""
        if kind == "e":
            labels = self.conn.execute(
                "select enumlabel from pg_enum where enumtypid = %s::regtype"
                " order by enumsortorder",
                [name],
            ).fetchall()
            return str(self.rng.choice(labels)[0]) if labels else "x"
        if kind == "c":
            return self.rng.choice(["(1,x)", "(2,)", "(1,x,3)"])
        if kind == "r":
            return self.rng.choice(["[1,3)", "empty"])
        return str(self.rng.randint(1, 9))


# Writes


def inserted(s: Scene, table: Table, tags: Sequence[int]) -> str:
    """Return an insert of rows with these tags."""
    columns = [
        c
        for c in table.columns
        if not c.generated and not c.identity and (c.name == "tag" or s.rng.random() < 0.9)
    ]
    lines = ", ".join(
        "("
        + ", ".join(
            str(tag) if c.name == "tag" else str(tag) if unique(table, c) else s.literal(c)
            for c in columns
        )
        + ")"
        for tag in tags
    )
    names = ", ".join(quoted(c.name) for c in columns)
    return f"insert into {table.sql} ({names}) values {lines}"


def unique(table: Table, column: Column) -> bool:
    numbers = ("integer", "bigint", "numeric")
    return column.number in table.key and column.name != "tag" and column.type in numbers


def settings(s: Scene, table: Table) -> str:
    free = [c for c in table.columns if not c.generated and not c.identity and c.name != "tag"]
    chosen = s.rng.sample(free, min(len(free), s.rng.randint(1, 2)))
    if not chosen:
        raise LookupError
    return ", ".join(
        f"{quoted(c.name)} = {quoted(c.name) if s.rng.random() < 0.1 else s.literal(c)}"
        for c in chosen
    )


def where(s: Scene, table: Table) -> str:
    tags = [row[0] for row in s.rows(f"select tag from {table.sql} order by 1")]
    if not tags:
        raise LookupError
    chosen = s.rng.sample(tags, min(len(tags), s.rng.randint(1, 3)))
    return f"tag in ({', '.join(map(str, chosen))})"


def next_tags(s: Scene, most: int = 3) -> list[int]:
    return [int(s.fresh("")) + 100 for _ in range(s.rng.randint(1, most))]


def write(s: Scene) -> str:
    """Return a random write."""
    table = s.table(is_partition=None if s.rng.random() < 0.2 else False)
    return str(s.rng.choice(WRITES)(s, table))


def insert(s: Scene, t: Table) -> str:
    return inserted(s, t, next_tags(s))


def update(s: Scene, t: Table) -> str:
    return f"update {t.sql} set {settings(s, t)} where {where(s, t)}"


def update_all(s: Scene, t: Table) -> str:
    return f"update {t.sql} set {settings(s, t)}"


def delete(s: Scene, t: Table) -> str:
    return f"delete from {t.sql} where {where(s, t)}"


def key_update(s: Scene, t: Table) -> str:
    names = [c.name for c in t.columns if unique(t, c)]
    name = quoted(s.rng.choice(names))
    return f"update {t.sql} set {name} = {name} + {s.rng.choice([1, 40, 1000])} where {where(s, t)}"


def upsert(s: Scene, t: Table) -> str:
    names = t.names(t.key)
    if not names:
        raise LookupError
    key = ", ".join(map(quoted, names))
    return f"{inserted(s, t, next_tags(s))} on conflict ({key}) do update set {settings(s, t)}"


def merge(s: Scene, t: Table) -> str:
    then = s.rng.choice([f"update set {settings(s, t)}", "delete", "do nothing"])
    tags = next_tags(s)
    inserting = inserted(s, t, tags).replace(f"into {t.sql} ", "").split("), (")[0]
    inserting = inserting if inserting.endswith(")") else inserting + ")"
    return (
        f"merge into {t.sql} as m using (select tag from {t.sql} where {where(s, t)}"
        f" union all select {tags[0]}) as d on m.tag = d.tag"
        f" when matched then {then} when not matched then {inserting}"
    )


def pair(s: Scene, t: Table) -> str:
    other = s.table()
    return f"with w as ({delete(s, t)} returning tag) {insert(s, other)}"


def copied(s: Scene, t: Table) -> str:
    tag = next_tags(s, 1)[0]
    columns = [c for c in t.columns if not c.generated and not c.identity]
    names = ", ".join(quoted(c.name) for c in columns)
    shown = ", ".join(
        str(tag) if c.name == "tag" or unique(t, c) else quoted(c.name) for c in columns
    )
    return f"insert into {t.sql} ({names}) select {shown} from {t.sql} where {where(s, t)} limit 1"


WRITES: list[Callable[[Scene, Table], str]] = [
    *[insert] * 4,
    *[update] * 6,
    update_all,
    *[delete] * 2,
    key_update,
    upsert,
    upsert,
    merge,
    pair,
    copied,
]
