"""A tracked table of many types with hostile names and values, and rows of it drawn by chance."""

from random import Random

import psycopg
from psycopg import sql

TYPES = """
create type public.mood as enum ('sad', 'ok', 'say "no", (never)');
create type public.pair as (a integer, b text);
create domain public.small as integer check (value < 100);
create domain public.words as text[];
create type public.span as range (subtype = float8);
"""

TEXTS = [
    "",
    "plain",
    " ",
    'quote " and, comma; "" twice',
    "line\nbreak\r\nand\rreturn\ttab",
    "back\\slash \\n \\. \\N",
    "(a,b)",
    "()",
    "\\u0000",
    "NULL",
    "null",
    "é\u2028\u0085\u00a0\U0001f510\u202e",
    "\x01\x02\x1f\x7f",
    "{}",
    "=1+2",
    "'",
    '"',
    "\\",
]

VALUES: dict[str, list[str]] = {
    "smallint": ["-32768", "0", "7"],
    "integer": ["-2147483648", "0", "7"],
    "bigint": ["9223372036854775807", "0"],
    "numeric": ["NaN", "1.10", "-0.000000000000000000001", "12345678901234567890.5", "Infinity"],
    "numeric(10,2)": ["1.10", "0"],
    "real": ["-0", "0.1", "NaN", "-Infinity", "1e30"],
    "double precision": ["-0", "0.1", "NaN", "Infinity", "1e-300", "9007199254740993"],
    "boolean": ["t", "f"],
    "text": TEXTS,
    "varchar(30)": TEXTS,
    "char(5)": ["", "a", 'a"b'],
    "name": ["", "a b", 'a"b'],
    '"char"': ["", "a", "\\377", '"', ","],
    "bytea": ["", "\\x00ff5c22", "\\x2c29"],
    "uuid": ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"],
    "date": ["infinity", "0044-03-15 BC", "2026-02-28", "12345-01-01"],
    "time": ["24:00", "00:00:00.000001"],
    "timetz": ["12:00+05:45"],
    "timestamp": ["-infinity", "0044-03-15 12:00 BC", "2026-11-28 07:00:00.000001"],
    "timestamptz": ["infinity", "0044-03-15 12:00+00 BC", "2026-11-28 07:00:00.5+05:45"],
    "interval": ["1 year -2 days 03:04:05.6", "-1 month", "0"],
    "json": ['{"a": 1, "a": 2}', '"\\u0000"', "null", "[1,  2]"],
    "jsonb": ['{"b": [null, "a,(\\""], "a": 1.10}', "null", '"x"', "[]", "1e400"],
    "inet": ["10.0.0.1/8", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(3)": ["101"],
    "varbit": ["", "1"],
    "point": ["(1,-0)"],
    "path": ["[(0,0),(1,1)]"],
    "int4range": ["[1,5)", "empty", "(,)"],
    "int4multirange": ["{[1,2),[5,6)}", "{}"],
    "tsrange": ["[2026-01-01,)"],
    "tsvector": ["'a,b':1 '\"'"],
    "tsquery": ["'a' & !'b'"],
    "money": ["1.50"],
    "oid": ["4294967295"],
    "regclass": ["pg_class", "public.many"],
    "pg_lsn": ["16/B374D848"],
    "text[]": ["{}", '{NULL,"NULL","",a,"b,\\"c\\\\"}', "[5:6]={a,b}"],
    "integer[]": ["{{1,2},{3,NULL}}", "{}"],
    "bytea[]": ["{NULL}", '{"\\\\x00ff"}'],
    "json[]": ['{"{\\"a\\": 1}","null",NULL}'],
    "jsonb[]": ['{"{\\"a\\": [1, 2]}","null",NULL}'],
    "float8[]": ["{-0,NaN,0.1}"],
    "numeric[]": ["{1.10,NaN}"],
    "timestamptz[]": ['{"2026-11-28 07:00+05:45",infinity}'],
    "interval[]": ['{"1 mon -2 days"}'],
    "public.mood": ["sad", 'say "no", (never)'],
    "public.mood[]": ["{ok,NULL}"],
    "public.pair": ['(1,"a,b")', "(,)"],
    "public.small": ["7"],
    "public.words": ['{a,"b,c"}'],
    "public.span": ["[1,2)", "empty"],
}
"""Types of columns, and values of each as PostgreSQL reads them."""

NAMES = [
    "begin",
    "old",
    "new",
    'a"b',
    "x y",
    "it's",
    "%s",
    "back\\slash",
    "é",
    "é/~",
    "$1",
    "{}",
    "l" * 63,
    "redacted",
]
"""Names for the first columns; the others are called by their number."""


def columns() -> dict[str, str]:
    """Return the columns of the table, by name."""
    names = NAMES + [f"c{number}" for number in range(len(NAMES), len(VALUES))]
    return dict(zip(names, VALUES, strict=True))


def create(conn: psycopg.Connection) -> None:
    """Create the types and the table public.many, and track it."""
    conn.execute(TYPES)
    cells = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in columns().items()
    )
    conn.execute(
        sql.SQL(
            "create table public.many"
            " (id integer primary key, {}, hidden text, seen_at timestamptz)"
        ).format(cells)
    )
    conn.execute(
        "select audit.track('public.many', 'many', secret => array['hidden'],"
        " operational => array['seen_at'])"
    )


def fill(conn: psycopg.Connection, chance: Random, rows: int) -> None:
    """Insert rows, change some of them, and delete some."""
    kinds = columns()
    for number in range(rows):
        names = ["id", "hidden", *kinds]
        values = [
            str(number),
            chance.choice(TEXTS),
            *(_drawn(chance, kind) for kind in kinds.values()),
        ]
        conn.execute(
            sql.SQL("insert into public.many ({}) values ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL(", ").join(map(sql.Literal, values)),
            )
        )
    for name, kind in kinds.items():
        conn.execute(
            sql.SQL("update public.many set {} = {} where mod(id, 7) = {}").format(
                sql.Identifier(name), sql.Literal(_drawn(chance, kind)), chance.randrange(7)
            )
        )
    conn.execute("delete from public.many where id % 3 = 0")


def _drawn(chance: Random, kind: str) -> str | None:
    if chance.random() < 0.2:
        return None
    if kind == "text" and chance.random() < 0.5:
        return "".join(
            chance.choice("a ,()\"\\\n\té\U0001f510'") for _ in range(chance.randrange(9))
        )
    return chance.choice(VALUES[kind])


def forget(conn: psycopg.Connection) -> None:
    """Drop a column, then the table and the types; the log keeps what it has."""
    conn.execute("alter table public.many drop column c20")
    conn.execute("drop table public.many cascade")
    for kind in ("mood", "pair", "small", "words", "span"):
        name = sql.Identifier(kind)
        what = sql.SQL("domain" if kind in ("small", "words") else "type")
        conn.execute(sql.SQL("drop {} public.{}").format(what, name))
