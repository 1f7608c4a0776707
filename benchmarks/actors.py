"""How each system's own package names the actor of a transaction, without a context and with one.

The statements are those that the packages send, as they send them: what a user pays who writes a
transaction at a time.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auditdb._actor.psycopg_setting import assignment
from auditdb._actor.scope import Actor
from benchmarks.systems import AUDITDB, PEERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.cases import Case
    from benchmarks.systems import System

REQUEST = {
    "request_id": "7d2f4c1e9a6b4f0c8e3d5a1b2c4d6e8f",
    "ip": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}
"""An ordinary context: what auditdb's middleware knows of a request."""

_ANA = Actor("platform_user", "42", label="ana@example.com")
_CALL = "select audit.set_actor('platform_user', '42', 'ana@example.com'{context})"
_TRANSACTION = (
    "insert into transaction ({columns}) values (now() at time zone 'utc', '42'{value}, "
    "pg_current_xact_id()) on conflict on constraint transaction_unique_native_tx_id do nothing"
)
_PGHISTORY = (
    "select set_config('pghistory.context_id', '{id}', true), "
    "set_config('pghistory.context_metadata', '{metadata}', true)"
)

BY_CALL = replace(AUDITDB, name=f"{AUDITDB.name}, set_actor()")
"""The same database, where SQL names the actor by audit.set_actor()."""


def naming(system: System, *, context: bool = False) -> list[str]:
    """Return the statements that name the actor in a transaction.

    postgresql-audit has a place for the address of a request and for nothing else of it.
    django-pghistory sends its statement again with each statement of a transaction; here it is
    sent once.
    """
    if system.name == AUDITDB.name:
        acting = replace(_ANA, context=REQUEST) if context else _ANA
        return [assignment(acting).as_string(None)]
    if system.name == BY_CALL.name:
        return [_CALL.format(context=f", '{json.dumps(REQUEST)}'" if context else "")]
    if system not in PEERS:
        return []
    if system.name.startswith("postgresql-audit"):
        columns = ["issued_at", "actor_id", *["client_addr"] * context, "native_transaction_id"]
        value = f", '{REQUEST['ip']}'" if context else ""
        return [_TRANSACTION.format(columns=", ".join(columns), value=value)]
    metadata = json.dumps({"user": 42} | (REQUEST if context else {}))
    return [_PGHISTORY.format(id=uuid.uuid4(), metadata=metadata)]


def transaction(system: System, statements: Sequence[str], *, context: bool = False) -> list[str]:
    """Return a transaction with an actor."""
    return ["begin", *naming(system, context=context), *statements, "commit"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How statements come: many in a transaction or one in each, with a context or without."""

    is_own: bool
    context: bool

    def title(self, case: Case) -> str:
        """Return what a statement that comes so is called in a table."""
        manner = "a transaction each" if self.is_own else "many in a transaction"
        return f"{case.title}, {manner}{', with context' * self.context}"

    def transactions(self, system: System, case: Case, numbers: Iterable[int]) -> list[list[str]]:
        """Return the transactions that do it to the rows of these numbers."""
        groups = [[n] for n in numbers] if self.is_own else [list(numbers)]
        return [
            transaction(system, [case.literal(n) for n in group], context=self.context)
            for group in groups
        ]


MANNERS = tuple(Manner(is_own, context) for is_own in (False, True) for context in (False, True))
"""All ways in which statements come."""
