"""Makes SQL mean the same whatever the search_path: names of pg_catalog are written out.

Reading goes through connections of applications, whose search_path is theirs: whoever may create
in one of its schemas could put a function, an operator or a type there that fits better than
PostgreSQL's, and it would run with the rights of whoever reads.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(
    r"""
    (?P<string>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<parameter>(?<![:\w]):\w+|%\(\w+\)s|%s|\{\w*\}|\$\$)
  | (?P<number>\d[\d.]*)
  | (?P<name>[a-z_]\w*)
  | (?P<cast>::)
  | (?P<operator>[-+*/<>=~!@\#%^&|?]+)
  | (?P<space>\s+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# What the grammar itself reads, wherever the search_path leads.
_WORDS = """
all and any array as asc by case cast coalesce desc distinct else end except exists extract false
filter from greatest group having if in interval is join lateral least limit materialized not null
offset on or order over perform row select then true union using values when where with
"""
_GRAMMAR = frozenset(_WORDS.split())
_GRAMMAR_TYPES = frozenset(("bigint", "boolean", "integer", "interval", "numeric", "smallint"))
_TYPES = frozenset(
    ("date", "json", "jsonb", "oid", "regclass", "regnamespace", "text", "timestamptz")
)
# Their operators cannot be written out.
_REFUSED = frozenset(["between", "ilike", "in", "like", "nullif", "overlaps", "similar"])


@lru_cache(maxsize=512)
def qualified(text: str) -> str:
    """Return `text` with each function, operator and type that has no schema taken of pg_catalog.

    Relations and what begins a call of a function elsewhere are to be written with their schemas.
    An operator written out binds as loosely as any other one: arithmetic needs its parentheses.
    Raises ValueError for forms whose operator cannot be written out, such as IN and BETWEEN.
    """
    tokens = [(str(m.lastgroup), m[0]) for m in _TOKEN.finditer(text)]
    solid = [n for n, (kind, _) in enumerate(tokens) if kind != "space"]
    casts: list[bool] = []
    found = [word for _, word in tokens]
    for place, n in enumerate(solid):
        kind, word = tokens[n]
        before = [tokens[solid[p]] for p in range(max(0, place - 2), place)]
        after = [tokens[solid[p]] for p in range(place + 1, min(len(solid), place + 2))]
        previous = before[-1][1].lower() if before else ""
        following = after[0] if after else ("", "")
        if word == "(":
            casts.append(previous == "cast")
        elif word == ")" and casts:
            casts.pop()
        elif kind == "operator":
            if _is_operator(word, before, following):
                found[n] = f"operator(pg_catalog.{word})"
        elif kind == "name" and previous != ".":
            in_cast = bool(casts) and casts[-1] and previous == "as"
            found[n] = _name(word, previous, following, in_cast=in_cast)
    return "".join(found)


def _is_operator(word: str, before: list[tuple[str, str]], following: tuple[str, str]) -> bool:
    """Return whether this is an operator between two operands, or refuse it."""
    previous = before[-1] if before else ("", "")
    if word == "=>" or following[1] in (")", ",") or previous[1] == ".":
        return False
    if word == "*" and (previous[1] in ("(", ",") or previous[1].lower() in ("select", "distinct")):
        return False
    if [one[1].lower() for one in before] == ["operator", "("] or following[1] == "":
        return False
    if previous[1].lower() in _GRAMMAR - {"end", "null", "true", "false"} or previous[1] in "(,":
        raise ValueError(f"the operator {word} has no left operand here")
    return True


def _name(word: str, previous: str, following: tuple[str, str], *, in_cast: bool) -> str:
    """Return a name as it is to be written: of pg_catalog where it is a function or a type."""
    lower, (kind, after) = word.lower(), following
    if after == ".":
        return word
    if lower in _REFUSED or (lower == "distinct" and previous in ("is", "not")):
        raise ValueError(f"the operator of {word.upper()} cannot be written out")
    if in_cast or previous == "::" or kind == "string":
        if lower in _TYPES:
            return f"pg_catalog.{word}"
        if (in_cast or previous == "::") and lower not in _GRAMMAR_TYPES:
            raise ValueError(f"{word} is no type that is known here")
        return word
    is_alias = previous in ("as", "with", "operator")
    if after == "(" and lower not in _GRAMMAR | {"operator"} and not is_alias:
        return f"pg_catalog.{word}"
    return word
