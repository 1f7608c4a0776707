"""Tells from the words of a statement whether it writes."""

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


def may_write(statement: str) -> bool:
    """Return whether `statement` begins a transaction, or writes, as its words say it.

    A select that calls a function which writes is not seen.

    >>> may_write("with gone as (delete from license returning *) select count(*) from gone")
    True
    """
    plain = _QUOTED.sub(_blank, statement)
    return _WRITES.search(" ".join(plain.split())) is not None


def _blank(quoted: re.Match[str]) -> str:
    return " " if quoted[0].startswith(("--", "/*")) else "''"
