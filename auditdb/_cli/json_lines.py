"""Shows events to programs: one line of JSON each."""

from __future__ import annotations

import json
import re
from datetime import UTC
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
    columns: dict[str, Any] = {
        "id": str(event.id),
        "tx": str(event.tx),
        "occurred_at": event.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "account_id": event.account_id,
        "action": event.action,
        "action_label": event.action_label,
        "item_type": event.item_type,
        "item_id": event.item_id,
        "item_label": event.item_label,
        "parent_type": event.parent_type,
        "parent_id": event.parent_id,
        "actor_type": event.actor_type,
        "actor_id": event.actor_id,
        "actor_label": event.actor_label,
        "db_role": event.db_role,
        "application": event.application,
        "is_cascade": event.is_cascade,
    }
    plain = json.dumps(columns, ensure_ascii=False)
    # As PostgreSQL wrote them: no number is rounded, nothing is too deep.
    line = (
        f'{plain[:-1]}, "changes": {event.changes_json or "null"}, '
        f'"context": {event.context_json or "null"}}}'
    )
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
