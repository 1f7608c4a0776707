"""How much memory the pages of a Parquet file take, found out before any of them is unpacked.

What the footer says of sizes may be wrong. A reader trusts the header of each page, which is in
Thrift's compact form; so that is what is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_FOOTER = 256 << 20
"""The most bytes of a footer, which grows with the row groups of a file."""

_HEADER = 64 << 10
_MOST_DEPTH = 8
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
# The numbers of fields of a PageHeader.
_TYPE, _SIZE, _PACKED, _OF_DATA, _OF_DICTIONARY, _OF_DATA_2 = 1, 2, 3, 5, 7, 8
# Plain and by a dictionary: in others a few bytes can stand for many long texts.
_ENCODINGS = {0, 2, 3, 8}


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a row group takes when it is unpacked."""

    bytes: int
    """All of its pages together."""
    dictionaries: int
    """Its dictionaries together: no row is longer than them and the other pages."""


def footer_size(found: IO[bytes]) -> int:
    """Return the bytes of the footer of a file; raises ValueError where it has none."""
    end = found.seek(0, 2)
    found.seek(max(0, end - 8))
    tail = found.read(8)
    if len(tail) < 8 or tail[4:] != b"PAR1":
        raise ValueError("the file does not end as Parquet does")
    return int.from_bytes(tail[:4], "little")


def unpacked(found: IO[bytes], group: Any, longest_page: int) -> Unpacked:
    """Return what a row group takes, by the headers of its pages.

    `group` is what pyarrow says of it. Raises ValueError where a page is longer than
    `longest_page`, or is none that exports have.
    """
    total = dictionaries = 0
    for number in range(group.num_columns):
        column = group.column(number)
        start = column.data_page_offset
        if column.has_dictionary_page and column.dictionary_page_offset is not None:
            start = min(start, column.dictionary_page_offset)
        for is_dictionary, size in _pages(found, start, column.total_compressed_size):
            if size > longest_page:
                raise ValueError(
                    f"a page of column {column.path_in_schema} has {size} bytes, more than the"
                    f" {longest_page} of what exports have"
                )
            total += size
            dictionaries += size if is_dictionary else 0
    return Unpacked(total, dictionaries)


def _pages(found: IO[bytes], start: int, length: int) -> Iterator[tuple[bool, int]]:
    """Yield for each page of a column whether it is a dictionary, and its size unpacked."""
    at, end = start, start + length
    if min(start, length) < 0:
        raise ValueError("a column is nowhere in the file")
    while at < end:
        found.seek(at)
        content = found.read(_HEADER)
        header, used = _structure(content, 0, 0)
        kind, size, packed = (header.get(field) for field in (_TYPE, _SIZE, _PACKED))
        if not (type(size) is int and type(packed) is int and size >= 0 and packed >= 0):
            raise ValueError("a page has no size")
        parts = {_DATA: (_OF_DATA, 2), _DICTIONARY: (_OF_DICTIONARY, 2), _DATA_2: (_OF_DATA_2, 4)}
        field, encoding = parts.get(kind if type(kind) is int else -1, (0, 0))
        about = header.get(field)
        if type(about) is not dict or about.get(encoding) not in _ENCODINGS:
            raise ValueError("a page is none that exports have")
        yield kind == _DICTIONARY, max(size, packed)
        at += used + packed
    if at != end:
        raise ValueError("a page is longer than its column")


def _structure(content: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a structure by their numbers, and where it ends."""
    if depth > _MOST_DEPTH:
        raise ValueError("a page has a header that is none")
    fields: dict[int, Any] = {}
    number = 0
    while True:
        if at >= len(content):
            raise ValueError("a page has a header without an end")
        byte = content[at]
        at += 1
        if byte == 0:
            return fields, at
        if byte >> 4:
            number += byte >> 4
        else:
            number, at = _integer(content, at)
        if number in fields:
            raise ValueError("a page has a header that says a thing twice")
        fields[number], at = _value(content, at, byte & 15, depth)


def _value(content: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return None, at + 1
    if kind in (4, 5, 6):
        return _integer(content, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        size, at = _unsigned(content, at)
        return None, at + size
    if kind == 12:
        return _structure(content, at, depth + 1)
    raise ValueError("a page has a header that is none")


def _integer(content: bytes, at: int) -> tuple[int, int]:
    found, at = _unsigned(content, at)
    return (found >> 1) ^ -(found & 1), at


def _unsigned(content: bytes, at: int) -> tuple[int, int]:
    found = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
    raise ValueError("a page has a header that is none")
