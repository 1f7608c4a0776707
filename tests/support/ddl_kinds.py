"""The kinds of DDL that a fuzz draws from: each returns one statement, or finds nothing to do."""

from collections.abc import Callable

from tests.support.ddl_model import quoted
from tests.support.ddl_steps import SCHEMAS, TYPES, Scene

KINDS: dict[str, Callable[[Scene], str]] = {}


def kind(draw: Callable[[Scene], str]) -> Callable[[Scene], str]:
    KINDS[draw.__name__] = draw
    return draw


NUMBERS = ("integer", "bigint", "smallint")


@kind
def add_column(s: Scene) -> str:
    t = s.table()
    default = s.rng.choice(["", "", " default null"])
    return f"alter table {t.sql} add {s.fresh('c')} {s.type()}{default}"


@kind
def add_two_columns(s: Scene) -> str:
    t = s.table()
    return (
        f"alter table {t.sql} add {s.fresh('c')} int default {s.rng.randint(1, 9)},"
        f" add {s.fresh('c')} {s.type()}"
    )


@kind
def add_generated(s: Scene) -> str:
    t = s.table()
    source = quoted(s.column(t, *NUMBERS).name)
    virtual = s.conn.info.server_version >= 180000 and s.rng.random() < 0.4
    return (
        f"alter table {t.sql} add {s.fresh('g')} bigint"
        f" generated always as ({source} * 2) {'virtual' if virtual else 'stored'}"
    )


@kind
def drop_expression(s: Scene) -> str:
    t = s.table()
    name = s.rng.choice([c.name for c in t.columns if c.generated])
    return f"alter table {t.sql} alter {quoted(name)} drop expression"


@kind
def add_identity(s: Scene) -> str:
    t = s.table()
    return f"alter table {t.sql} add {s.fresh('i')} bigint generated always as identity"


@kind
def drop_column(s: Scene) -> str:
    t = s.table()
    cascade = s.rng.choice(["", " cascade"])
    return f"alter table {t.sql} drop {quoted(s.column(t).name)}{cascade}"


@kind
def drop_column_in_a_block(s: Scene) -> str:
    t = s.table()
    text = f"alter table {t.sql} drop {quoted(s.column(t).name)}"
    return f"do $d$ begin execute '{text[:9]}' || '{text[9:]}'; end $d$"


@kind
def retype_column(s: Scene) -> str:
    t = s.table()
    c = s.column(t)
    to = s.rng.choice(["text", "bigint", "numeric", "integer", s.type()])
    name = quoted(c.name)
    return f"alter table {t.sql} alter {name} type {to} using {name}::text::{to}"


@kind
def rename_column(s: Scene) -> str:
    t = s.table()
    to = s.rng.choice([s.fresh("r"), s.column(t).name])
    return f"alter table {t.sql} rename {quoted(s.column(t).name)} to {quoted(to)}"


@kind
def exchange_columns(s: Scene) -> str:
    t = s.table()
    a, b = s.column(t), s.column(t)
    return (
        f"do $d$ begin alter table {t.sql} rename {quoted(a.name)} to x_;"
        f" alter table {t.sql} rename {quoted(b.name)} to {quoted(a.name)};"
        f" alter table {t.sql} rename x_ to {quoted(b.name)}; end $d$"
    )


@kind
def rename_table(s: Scene) -> str:
    t = s.table(is_partition=None)
    return f"alter table {t.sql} rename to {s.fresh('t')}"


@kind
def move_table(s: Scene) -> str:
    t = s.table(is_partition=None)
    return f"alter table {t.sql} set schema {s.rng.choice(SCHEMAS)}"


@kind
def give_table(s: Scene) -> str:
    t = s.table(is_partition=None)
    return f"alter table {t.sql} owner to {s.rng.choice([s.owner, 'current_user'])}"


@kind
def drop_key(s: Scene) -> str:
    table, name = s.one_of(
        "select c.conrelid::regclass, quote_ident(c.conname) from pg_constraint as c"
        " join pg_attribute as a on a.attrelid = c.conrelid and a.attname = 'tag'"
        " where c.contype = 'p' and c.coninhcount = 0 order by 1, 2"
    )
    cascade = s.rng.choice(["", " cascade"])
    return f"alter table {table} drop constraint {name}{cascade}"


@kind
def add_key(s: Scene) -> str:
    t = s.table()
    columns = s.rng.choice(["tag", "tag", "tag, " + quoted(s.column(t).name)])
    return f"alter table {t.sql} add primary key ({columns})"


@kind
def replace_key(s: Scene) -> str:
    table, name = s.one_of(
        "select c.conrelid::regclass, quote_ident(c.conname) from pg_constraint as c"
        " join pg_attribute as a on a.attrelid = c.conrelid and a.attname = 'tag'"
        " where c.contype = 'p' and c.coninhcount = 0 order by 1, 2"
    )
    return f"alter table {table} drop constraint {name}, add primary key (tag)"


@kind
def drop_not_null(s: Scene) -> str:
    t = s.table()
    deed = s.rng.choice(["drop", "drop", "set"])
    return f"alter table {t.sql} alter {quoted(s.column(t).name)} {deed} not null"


@kind
def set_default(s: Scene) -> str:
    t = s.table()
    c = s.column(t)
    return f"alter table {t.sql} alter {quoted(c.name)} set default {s.literal(c)}"


@kind
def add_foreign_key(s: Scene) -> str:
    child, parent = s.table(), s.table()
    (key,) = [c for c in parent.columns if c.number in parent.key]
    columns = [c.name for c in child.columns if c.type == key.type and c.name != "tag"]
    deed = s.rng.choice(["cascade", "cascade", "set null", "no action", "set default"])
    valid = s.rng.choice(["", "", " not valid", " deferrable initially deferred"])
    return (
        f"alter table {child.sql} add constraint {s.fresh('fk')}"
        f" foreign key ({quoted(s.rng.choice(columns))})"
        f" references {parent.sql} on delete {deed} on update cascade{valid}"
    )


FOREIGN = (
    "select c.conrelid::regclass, quote_ident(c.conname) from pg_constraint as c"
    " where c.contype = 'f' and c.conparentid = 0{} order by 1, 2"
)


@kind
def drop_foreign_key(s: Scene) -> str:
    table, name = s.one_of(FOREIGN.format(""))
    return f"alter table {table} drop constraint {name}"


@kind
def validate_foreign_key(s: Scene) -> str:
    table, name = s.one_of(FOREIGN.format(" and not c.convalidated"))
    return f"alter table {table} validate constraint {name}"


@kind
def rename_constraint(s: Scene) -> str:
    table, name = s.one_of(
        "select c.conrelid::regclass, quote_ident(c.conname) from pg_constraint as c"
        " join pg_attribute as a on a.attrelid = c.conrelid and a.attname = 'tag'"
        " where c.contype in ('p', 'f') and c.coninhcount = 0 order by 1, 2"
    )
    return f"alter table {table} rename constraint {name} to {s.fresh('k')}"


@kind
def create_type(s: Scene) -> str:
    name = f"{s.rng.choice(SCHEMAS)}.{s.fresh('y')}"
    return s.rng.choice(
        [
            f"create type {name} as enum ('a', 'b', 'c')",
            f"create domain {name} as int check (value < 1000)",
            f"create type {name} as (a int, b text)",
            f"create type {name} as range (subtype = int4)",
        ]
    )


@kind
def drop_type(s: Scene) -> str:
    _, name, letter, *_ = s.one_of(TYPES)
    cascade = s.rng.choice([" cascade", " cascade", ""])
    return f"drop {'domain' if letter == 'd' else 'type'} {name}{cascade}"


@kind
def rename_type(s: Scene) -> str:
    _, name, letter, *_ = s.one_of(TYPES)
    what = s.rng.choice([f"rename to {s.fresh('y')}", f"set schema {s.rng.choice(SCHEMAS)}"])
    return f"alter {'domain' if letter == 'd' else 'type'} {name} {what}"


@kind
def give_type(s: Scene) -> str:
    _, name, letter, *_ = s.one_of(TYPES)
    return f"alter {'domain' if letter == 'd' else 'type'} {name} owner to {s.owner}"


@kind
def change_type(s: Scene) -> str:
    _, name, letter, *_ = s.one_of(TYPES)
    if letter == "e":
        return s.rng.choice(
            [
                f"alter type {name} add value '{s.fresh('v')}'",
                f"alter type {name} rename value 'b' to '{s.fresh('v')}'",
            ]
        )
    if letter == "d":
        return s.rng.choice(
            [
                f"alter domain {name} add constraint {s.fresh('k')} check (value <> 8) not valid",
                f"alter domain {name} set default 4",
                f"alter domain {name} set not null",
                f"alter domain {name} drop not null",
            ]
        )
    return s.rng.choice(
        [
            f"alter type {name} add attribute {s.fresh('a')} int cascade",
            f"alter type {name} rename attribute a to {s.fresh('a')} cascade",
            f"alter type {name} drop attribute if exists b cascade",
        ]
    )


@kind
def make_schema(s: Scene) -> str:
    return s.rng.choice(["create schema s1", "create schema s2", "create schema s3"])


@kind
def rename_schema(s: Scene) -> str:
    one, other = s.rng.sample(["s1", "s2", "s3"], 2)
    return f"alter schema {one} rename to {other}"


@kind
def drop_schema(s: Scene) -> str:
    cascade = s.rng.choice(["", "", " cascade"])
    return f"drop schema {s.rng.choice(['s2', 's3'])}{cascade}"


@kind
def make_extension(s: Scene) -> str:
    return f"create extension citext schema {s.rng.choice(SCHEMAS)}"


@kind
def move_extension(s: Scene) -> str:
    return f"alter extension citext set schema {s.rng.choice(SCHEMAS)}"


@kind
def drop_extension(s: Scene) -> str:
    return "drop extension citext cascade"


@kind
def make_collation(s: Scene) -> str:
    name = f"{s.rng.choice(SCHEMAS)}.{s.fresh('l')}"
    return f"create collation {name} (provider = libc, locale = 'C')"


COLLATIONS = (
    "select format('%I.%I', n.nspname, l.collname) from pg_collation as l"
    " join pg_namespace as n on n.oid = l.collnamespace where l.oid >= 16384 order by 1"
)


@kind
def use_collation(s: Scene) -> str:
    t = s.table()
    (name,) = s.one_of(COLLATIONS)
    if s.rng.random() < 0.5:
        return f"alter table {t.sql} add {s.fresh('c')} text collate {name}"
    c = quoted(s.column(t, "text", "character varying").name)
    return f"alter table {t.sql} alter {c} type text collate {name}"


@kind
def rename_collation(s: Scene) -> str:
    (name,) = s.one_of(COLLATIONS)
    what = s.rng.choice([f"rename to {s.fresh('l')}", f"set schema {s.rng.choice(SCHEMAS)}"])
    return f"alter collation {name} {what}"


@kind
def drop_collation(s: Scene) -> str:
    (name,) = s.one_of(COLLATIONS)
    return f"drop collation {name} cascade"


@kind
def make_trigger(s: Scene) -> str:
    t = s.table()
    events = s.rng.choice(["insert", "update", "delete", "insert or update", "update or delete"])
    when = s.rng.choice(["before", "after"])
    function = "fuzz.touch" if when == "before" and "delete" not in events else "fuzz.pass"
    name = s.rng.choice(["Trigger ", "trigger "]) + s.fresh("")
    return (
        f'create trigger "{name}" {when} {events} on {t.sql} for each row'
        f" execute function {function}()"
    )


TRIGGERS = (
    "select g.tgrelid::regclass, quote_ident(g.tgname) from pg_trigger as g"
    " where not g.tgisinternal and g.tgparentid = 0 and g.tgname ~* '^trigger' order by 1, 2"
)


@kind
def drop_trigger(s: Scene) -> str:
    table, name = s.one_of(TRIGGERS)
    return f"drop trigger {name} on {table}"


@kind
def disable_trigger(s: Scene) -> str:
    table, name = s.one_of(TRIGGERS)
    return f"alter table {table} {s.rng.choice(['disable', 'enable'])} trigger {name}"


@kind
def make_partition(s: Scene) -> str:
    t = s.table("p")
    low = s.rng.choice([0, 10, 20, 30, 100])
    return (
        f"create table {s.rng.choice(SCHEMAS)}.{s.fresh('p')} partition of {t.sql}"
        f" for values from ({low}) to ({low + s.rng.choice([10, 900])})"
    )


@kind
def detach(s: Scene) -> str:
    t = s.table(is_partition=True)
    (parent,) = [one for one in s.tables if one.oid == t.parent]
    return f"alter table {parent.sql} detach partition {t.sql}"


@kind
def attach(s: Scene) -> str:
    t, root = s.table("rp"), s.table("p")
    low = s.rng.choice([0, 10, 20, 30, 100])
    return (
        f"alter table {root.sql} attach partition {t.sql}"
        f" for values from ({low}) to ({low + s.rng.choice([10, 9000])})"
    )


@kind
def like(s: Scene) -> str:
    """Make a table that can be attached."""
    t = s.table("p")
    return f"create table {s.rng.choice(SCHEMAS)}.{s.fresh('p')} (like {t.sql} including all)"


@kind
def inherit(s: Scene) -> str:
    t, other = s.table("r"), s.table("r")
    if s.rng.random() < 0.5:
        return f"create table {s.fresh('h')} () inherits ({t.sql})"
    return f"alter table {other.sql} {s.rng.choice(['inherit', 'no inherit'])} {t.sql}"


@kind
def make_table(s: Scene) -> str:
    name = f"{s.rng.choice(SCHEMAS)}.{s.fresh('t')}"
    return s.rng.choice(
        [
            f"create table {name} (id int primary key, tag int not null, a int, b text)",
            f"create table {name} (tag int not null, id int, a {s.type()}, primary key (id, tag))",
            (
                f"create table {name} (k int, tag int not null, a int, b text,"
                " primary key (k, tag)) partition by range (k)"
            ),
        ]
    )


@kind
def make_table_again(s: Scene) -> str:
    """Drop a table and make it again, in one string or none."""
    t = s.table("r")
    return (
        f"do $d$ begin drop table {t.sql} cascade;"
        f" create table {t.sql} (id int primary key, tag int not null, b text); end $d$"
    )


@kind
def drop_table(s: Scene) -> str:
    t = s.table(is_partition=None)
    if len(s.tables) < 6:
        raise LookupError
    return f"drop table {t.sql}{s.rng.choice(['', ' cascade'])}"


@kind
def make_index(s: Scene) -> str:
    t = s.table()
    return f"create index {s.fresh('x')} on {t.sql} (({quoted(s.column(t).name)}))"


@kind
def rename_index(s: Scene) -> str:
    t = s.table()
    return f"alter index {t.sql} rename to {s.fresh('t')}"


@kind
def make_view(s: Scene) -> str:
    t = s.table()
    return f"create view {s.fresh('w')} as select * from {t.sql}"


@kind
def drop_view(s: Scene) -> str:
    (name,) = s.one_of(
        "select format('%I.%I', n.nspname, c.relname) from pg_class as c join pg_namespace as n"
        " on n.oid = c.relnamespace where c.relkind = 'v' and c.relname ~ '^w' order by 1"
    )
    return f"drop view {name} cascade"


@kind
def turn_a_table(s: Scene) -> str:
    t = s.table("r", is_partition=None)
    what = s.rng.choice(
        [
            "set unlogged",
            "set logged",
            "enable row level security",
            "disable row level security",
            "force row level security",
            "set (fillfactor = 70)",
            "replica identity full",
            f"alter tag set statistics {s.rng.randint(1, 99)}",
            "add check (tag > 0)",
        ]
    )
    return f"alter table {t.sql} {what}"


@kind
def truncate(s: Scene) -> str:
    t = s.table()
    return f"truncate {t.sql} cascade"
