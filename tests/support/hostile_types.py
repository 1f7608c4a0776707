"""Types that a stranger owns, and the code that casts, checks and defaults of theirs carry."""

from collections.abc import Iterator
from dataclasses import dataclass

# Says whose rights it runs with. A warning reaches the client also where the statement fails, and
# it stops nothing, so that what comes behind the first piece of code is found too.
PROBE = """
create function lair.probe(plant text) returns boolean language plpgsql volatile as $$
begin
  raise warning 'probe % ran as %', plant, current_user;
  return true;
end $$;
create function lair.folded(plant text) returns integer language plpgsql immutable as $$
begin
  perform lair.probe(plant);
  return 1;
end $$;
create function lair.quiet() returns trigger language plpgsql as $$begin return null; end$$;
"""

LETTERS = "abcdefgh"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type that a stranger may give to a column.

    `literal` has a place for a letter. `source` is what casts are made from; where it is empty the
    code is in `checks`.
    """

    name: str
    type: str
    made_by: str
    literal: str
    source: str = ""
    checks: str = ""
    has_digits: bool = False

    def value(self, number: int) -> str:
        """Return one of a few values, as a literal that takes on the type of the column."""
        letter = str(number) if self.has_digits else LETTERS[number]
        return "'" + self.literal.format(letter) + "'"


@dataclass(frozen=True, slots=True)
class Plant:
    """What a stranger makes, and statements by which its owner sees it run.

    `breaks` tells whether a write may fail over it: not over what adds code to a type and leaves
    the tables as they are.
    """

    name: str
    statements: str
    controls: tuple[str, ...]
    settings: str = ""
    breaks: bool = False


TEXT = Kind("text", "text", "", "{}")
ENUM = Kind(
    "enum",
    "lair.mood",
    "create type lair.mood as enum ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');",
    "{}",
    "lair.mood",
)
COMPOSITE = Kind(
    "composite", "lair.pair", "create type lair.pair as (x text);", "({})", "lair.pair"
)
RANGE = Kind(
    "range",
    "lair.span",
    "create type lair.span as range (subtype = text, multirange_type_name = lair.spans);",
    "[{},z]",
    "lair.span",
)
MULTIRANGE = Kind("multirange", "lair.spans", RANGE.made_by, "{{[{},z]}}", "lair.spans")
ENUMS = Kind("array of enum", "lair.mood[]", ENUM.made_by, "{{{}}}", "lair.mood[]")
COMPOSITES = Kind("array of composite", "lair.pair[]", COMPOSITE.made_by, "{{({})}}", "lair.pair[]")
ROW = Kind("row type", "text", "", "{}", "lair.t")


def _checked(name: str) -> str:
    """Return statements that put code into a domain."""
    return (
        f"alter domain lair.{name} add constraint probing check (lair.probe('check of {name}'))"
        " not valid;"
        f"create function lair.default_{name}() returns lair.{name} language plpgsql as"
        f" $$begin perform lair.probe('default of {name}'); return null; end$$;"
        f"alter domain lair.{name} set default lair.default_{name}();"
    )


WORD = "create domain lair.word as text;"
DOMAIN = Kind("domain", "lair.word", WORD, "{}", checks=_checked("word"))
DOMAINS = Kind("array of domain", "lair.word[]", WORD, "{{{}}}", checks=_checked("word"))
NUMBER = Kind(
    "domain of integer",
    "lair.amount",
    "create domain lair.amount as integer;",
    "{}",
    checks=_checked("amount"),
    has_digits=True,
)
DOMAIN_RANGE = Kind(
    "range of domain",
    "lair.words",
    WORD + "create type lair.words as range (subtype = lair.word);",
    "[{},z]",
    "lair.words",
    checks=_checked("word"),
)
DOMAIN_COMPOSITE = Kind(
    "composite of domain",
    "lair.boxed",
    WORD + "create type lair.boxed as (x lair.word);",
    "({})",
    "lair.boxed",
    checks=_checked("word"),
)
DOMAIN_ENUM = Kind(
    "domain of enum",
    "lair.temper",
    ENUM.made_by + "create domain lair.temper as lair.mood;",
    "{}",
    "lair.mood",
    checks=_checked("temper"),
)

KINDS = (
    ENUM,
    COMPOSITE,
    DOMAIN,
    RANGE,
    ENUMS,
    DOMAINS,
    ROW,
    MULTIRANGE,
    NUMBER,
    COMPOSITES,
    DOMAIN_RANGE,
    DOMAIN_COMPOSITE,
    DOMAIN_ENUM,
)

# What casts lead to, with a value of it.
TARGETS = {
    "text": "'cast'",
    "json": """'{"cast": 1}'""",
    "jsonb": """'{"cast": 1}'""",
    "varchar": "'cast'",
    "bpchar": "'cast'",
    "integer": "1",
    "bigint": "1",
    "numeric": "1",
    "boolean": "true",
    "bytea": "'cast'",
    "text[]": "'{cast}'",
}
ALONE = ("text", "json", "jsonb", "integer", "boolean")


def plants_of(kind: Kind) -> Iterator[Plant]:
    """Yield the code that the owner of a type can add to it."""
    if kind.checks:
        control = f"select {kind.value(0)}::{kind.type}"
        yield Plant(f"check of {kind.name}", kind.checks, (control,))
    if not kind.source:
        return
    for target in ALONE:
        yield _casts(kind, (target,), "implicit")
    for context in ("explicit", "assignment", "implicit"):
        yield _casts(kind, tuple(TARGETS), context)
    if kind is not ROW:
        yield _casts_onto(kind)


def _casts(kind: Kind, targets: tuple[str, ...], context: str) -> Plant:
    """Return casts from a type to others, of one context."""
    name = f"{context} cast of {kind.name} to {targets[0] if len(targets) == 1 else 'all'}"
    clause = "" if context == "explicit" else f" as {context}"
    statements = "".join(
        f"create function lair.cast_{number}(v {kind.source}) returns {target}"
        f" language plpgsql immutable as"
        f" $$begin perform lair.probe('{name}'); return {value}; end$$;"
        f"create cast ({kind.source} as {target}) with function"
        f" lair.cast_{number}({kind.source}){clause};"
        for number, (target, value) in enumerate((t, TARGETS[t]) for t in targets)
    )
    controls = tuple(f"select null::{kind.source}::{target}" for target in targets)
    return Plant(name, statements, controls)


def _casts_onto(kind: Kind) -> Plant:
    """Return casts from built-in types to a type."""
    name = f"casts onto {kind.name}"
    sources = ("text", "integer", "jsonb")
    statements = "".join(
        f"create function lair.onto_{number}(v {source}) returns {kind.source}"
        f" language plpgsql immutable as"
        f" $$begin perform lair.probe('{name}'); return null; end$$;"
        f"create cast ({source} as {kind.source}) with function lair.onto_{number}({source})"
        " as implicit;"
        for number, source in enumerate(sources)
    )
    controls = tuple(f"select null::{source}::{kind.source}" for source in sources)
    return Plant(name, statements, controls)
