"""Reads JSON of exports as PostgreSQL prints it: numbers stay what they are, no key comes twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 16 << 20
"""The most bytes of a file that is one document: a manifest, a state file."""

# What a number of PostgreSQL holds.
_MOST_DIGITS, _MOST_FRACTION = 131_072, 16_383


class Number(str):
    """A number as it is written, which is no text."""

    __slots__ = ()


def _whole(text: str) -> Number:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is none of PostgreSQL's")
    return Number(text)


def _fraction(text: str) -> Number:
    # An exponent of a few digits stands for more of them than there is room for.
    if "e" in text or "E" in text:
        raise ValueError(f"{text[:40]} has an exponent, which jsonb does not print")
    whole, _, fraction = text.partition(".")
    if len(whole) > _MOST_DIGITS or len(fraction) > _MOST_FRACTION:
        raise ValueError(f"a number of {len(text)} digits is none of PostgreSQL's")
    return Number(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        times = Counter(name for name, _ in members)
        twice = next(name for name, number in times.items() if number > 1)
        raise ValueError(f"an object has {twice[:100]!r} twice")
    return found


_READ = json.JSONDecoder(
    parse_int=_whole,
    parse_float=_fraction,
    parse_constant=_refuse,
    object_pairs_hook=_object,
).raw_decode
_PLAIN = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_object).decode


def read(text: str) -> Any:
    """Return what a document says, with each number as a Number; raises ValueError for no JSON."""
    try:
        found, end = _READ(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if end != len(text):
        raise ValueError("there is more after the end of the document")
    return found


def is_text(found: Any) -> bool:
    """Return whether `found` is a text that PostgreSQL holds."""
    if type(found) is not str or "\0" in found:
        return False
    try:
        found.encode()
    except UnicodeEncodeError:
        return False
    return True


def load(path: Path) -> Any:
    """Return what a file says that is one document, with numbers as numbers.

    Raises ValueError where it is no JSON, or longer than MOST_BYTES; OSError where it cannot be
    read.
    """
    with path.open("rb") as found:
        content = found.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES >> 20} MiB")
    try:
        return _PLAIN(content.decode())
    except RecursionError:
        raise ValueError("it is nested too deep") from None
