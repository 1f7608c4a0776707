"""Shows events to programs: one line of JSON each."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditdb._query.records import Event

# What JSON allows in a string but a terminal may obey, or a reader of lines may split at.
_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def json_line(event: Event) -> str:
    """Return `event` as one line of JSON, whole, without a line break at its end.

    Ids are strings (they may exceed 2^53), the time is ISO 8601 in UTC, and characters that a
    terminal might obey are escaped.
    """
    line = f"{{{', '.join(_member(one.name, getattr(event, one.name)) for one in fields(event))}}}"
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _member(name: str, value: Any) -> str:
    """Return a field of an event as a member of an object."""
    if name.endswith("_json"):
        # As PostgreSQL wrote it: no number is rounded, nothing is too deep.
        return f'"{name.removesuffix("_json")}": {value or "null"}'
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat(timespec="microseconds")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return f'"{name}": {json.dumps(value, ensure_ascii=False)}'
