"""Tells from the words of a statement whether it writes, and whether it may be no query."""

from __future__ import annotations

import re

_COMMENT = r"/\*(?:(?!/\*|\*/).)*\*/"
for _ in range(3):  # comments nest
    _COMMENT = rf"/\*(?:(?!/\*|\*/).|{_COMMENT})*\*/"
# What says nothing of whether a statement writes: texts, quoted names and comments.
_QUOTED = re.compile(
    r"\be'(?:[^'\\]|\\.|'')*'"
    r"|'(?:[^']|'')*'"
    r'|"(?:[^"]|"")*"'
    r"|(?<![\w$])\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
    r"|--[^\n]*"
    rf"|{_COMMENT}",
    re.IGNORECASE | re.DOTALL,
)
_CHANGE = r"(?:insert|update|delete|merge)\b"
# What begins a transaction by hand, or may write, at the beginning of a statement.
_WRITES = re.compile(
    rf"(?:^|;) ?(?:{_CHANGE}"
    r"|(?:truncate|call|do|execute|begin|start transaction)\b"
    r"|copy(?! ?\()[^;]*? from\b"
    # A change within a query is in parentheses or follows them; for update does neither.
    rf"|(?:with|copy)\b[^;]*[()] ?{_CHANGE}"
    rf"|explain\b[^;]*\banaly[sz]e\b[^;]*(?<!for )(?<!key )\b(?:{_CHANGE}|execute\b))",
    re.IGNORECASE,
)

# Alone in a statement, what may come before the first query of a transaction without being one.
_NO_QUERY = re.compile(r" ?(?:set|reset|show|lock)\b[^;]*(?:; ?)?", re.IGNORECASE)


def may_write(statement: str) -> bool:
    """Return whether `statement` begins a transaction, or writes, as its words say it.

    A select that calls a function which writes is not seen.

    >>> may_write("with gone as (delete from license returning *) select count(*) from gone")
    True
    """
    return _WRITES.search(_plain(statement)) is not None


def is_query(statement: str) -> bool:
    """Return whether PostgreSQL may take a snapshot for `statement`, as its words say it.

    >>> is_query("set transaction isolation level serializable"), is_query("select 1")
    (False, True)
    """
    return _NO_QUERY.fullmatch(_plain(statement)) is None


def _plain(statement: str) -> str:
    """Return `statement` without what is quoted, with single blanks."""
    return " ".join(_QUOTED.sub(_blank, statement).split())


def _blank(quoted: re.Match[str]) -> str:
    return " " if quoted[0].startswith(("--", "/*")) else "''"
