"""The row that an export leaves in the log, told as a whole: where it is, all before it is."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from auditdb._query import page_cursor
from auditdb._query.statements import MOMENT

if TYPE_CHECKING:
    import psycopg

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Named one by one: a column that comes later changes no digest.
_QUERY = """
select l.tx, {moment}, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    pg_catalog.jsonb_build_array(l.account_id, l.action, l.item_type, l.item_id, l.actor_type,
      l.actor_id, l.actor_label, l.on_behalf_of_type, l.on_behalf_of_id, l.on_behalf_of_label,
      l.db_role, l.application, l.context, l.changes)::text, 'UTF8')), 'hex')
from audit.log as l
where l.id = %s and l.tx >= %s and l.action = 'log_exported'
"""


@dataclass(frozen=True, slots=True)
class Witness:
    """A row log_exported, and what it says: no other row is it, whatever its id."""

    id: int
    tx: int
    occurred_at: str
    """ISO 8601, as in the manifest."""
    sha256: str
    """The hash of what else the row holds."""

    def as_json(self) -> dict[str, Any]:
        """Return what from_json() reads."""
        return asdict(self)


def from_json(found: Any) -> Witness:
    """Return the witness that as_json() wrote; raises ValueError, KeyError or TypeError."""
    witness = Witness(found["id"], found["tx"], found["occurred_at"], found["sha256"])
    if type(witness.id) is not int or type(witness.tx) is not int or len(found) != 4:
        raise ValueError("this is no row of an export")
    page_cursor.from_iso(witness.occurred_at)
    if not _DIGEST.fullmatch(witness.sha256):
        raise ValueError("this is no hash")
    return witness


def of(connection: psycopg.Connection[Any], row_id: int, first_tx: int) -> list[Witness]:
    """Return what the rows of exports with an id say, which `first_tx` or a later one wrote.

    `connection` sees the whole log.
    """
    query = _QUERY.format(moment=MOMENT).encode()
    return [
        Witness(row_id, tx, page_cursor.to_iso(int(moment)), sha256)
        for tx, moment, sha256 in connection.execute(query, [row_id, first_tx])
    ]
