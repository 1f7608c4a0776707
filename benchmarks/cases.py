"""The statements of one row on licensing.licenses whose cost is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from benchmarks.databases import LICENSES

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 1_000_000
"""The least id of a license that a benchmark inserts."""


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of statement."""

    title: str
    statement: LiteralString
    parameters: Callable[[int], tuple[object, ...]]
    """Returns the parameters of the n-th statement."""
    script: str
    """The same for pgbench, with :id and :n."""

    def literal(self, number: int) -> str:
        """Return the n-th statement as text, as a backend in single-user mode reads it."""
        values = (f"'{v}'" if isinstance(v, str) else str(v) for v in self.parameters(number))
        return self.statement % tuple(values)


# Steps through all licenses, so that statements near each other do not meet the same row.
def _existing(number: int) -> int:
    return 1 + number * 7919 % LICENSES


INSERT = Case(
    "insert",
    "insert into licensing.licenses (id, account_id, product_id, order_id, customer_id, "
    "license_key, note) values (%s, 1, 1, %s, %s, %s, %s)",
    lambda n: (FIRST + n, 1 + n % 1000, 1 + n % 100, f"DDDD-EEEE-FFFF-{n}", f"note {n}"),
    "insert into licensing.licenses (account_id, product_id, order_id, customer_id, license_key, "
    "note) values (1, 1, 1 + :n % 1000, 1 + :n % 100, 'DDDD-EEEE-FFFF-' || :n, 'note ' || :n)",
)
UPDATE = Case(
    "audited update",
    "update licensing.licenses set note = %s where id = %s",
    lambda n: (f"changed {n}", _existing(n)),
    "update licensing.licenses set note = 'changed ' || :n where id = :id",
)
HEARTBEAT = Case(
    "unaudited update",
    "update licensing.licenses set times_activated = %s, last_checked_at = now() where id = %s",
    lambda n: (n, _existing(n)),
    "update licensing.licenses set times_activated = :n, last_checked_at = now() where id = :id",
)
DELETE = Case(
    "delete",
    "delete from licensing.licenses where id = %s",
    lambda n: (FIRST + n,),
    # What the same session inserted last; the subselect lets the index find it.
    "delete from licensing.licenses where id = (select currval('licensing.licenses_id_seq'))",
)
CASES = (INSERT, UPDATE, HEARTBEAT, DELETE)
"""In an order that leaves the table as it was: what is inserted is deleted."""
