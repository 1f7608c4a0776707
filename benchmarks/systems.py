"""The systems that are compared: how each is set up, and how it is told who acts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from benchmarks import databases

if TYPE_CHECKING:
    from collections.abc import Callable

_FLOOR = """
create function public.floor_row() returns trigger language plpgsql security definer as $$
begin
  insert into audit.log (account_id, action, item_type, item_id, item_label, parent_type, parent_id,
    actor_type, actor_id, actor_label, db_role, application, is_cascade, changes, context)
  values ('1', 'license_updated', 'license', '1', '1234', null, null, 'platform_user', '42',
    'ana@example.com', 'postgres', 'postgres', false,
    '{"note": {"new": "note 123", "old": "note 122"}}', null);
  return null;
end;
$$;
"""
_FLOOR_TRIGGER = """
create trigger floor_row after insert or update or delete on {table}
  for each row execute function public.floor_row();
"""
TABLES = {
    "licenses": ("licensing.licenses",),
    "pgbench": ("pgbench_accounts", "pgbench_tellers", "pgbench_branches", "pgbench_history"),
}
"""The audited tables of each workload."""

UNRECORDED = (
    "license_key", "times_activated", "total_consumption", "transfer_count", "floating_in_use",
    "last_checked_at", "created_at", "updated_at",
)  # fmt: skip
"""Columns of licenses that no peer records: the counters, and the secret."""


@dataclass(frozen=True, slots=True)
class System:
    """A way to audit a table."""

    name: str
    install: Callable[[str, str], str | None]
    """Sets it up in the database of a URL for a workload; returns why it cannot be, or None."""
    actor: tuple[str, ...] = ()
    """Statements that name the actor in a transaction."""


def _nothing(url: str, workload: str) -> None:  # noqa: ARG001
    return None


def floor(*tables: str) -> str:
    """Return the least that triggers which write a row to the same log can be, on some tables."""
    return _FLOOR + "".join(_FLOOR_TRIGGER.format(table=table) for table in tables)


def _floor(url: str, workload: str) -> None:
    _execute(url, floor(*TABLES[workload]))


def _auditdb(url: str, workload: str) -> None:
    _execute(url, databases.declaration(workload))


def _execute(url: str, statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements.encode())


def _peer(package: str, module: str, *options: str) -> Callable[[str, str], str | None]:
    """Return the set-up of a peer: in a process of its own, for some set up a whole process."""

    def install(url: str, workload: str) -> str | None:
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed"
        command = [sys.executable, "-m", f"benchmarks.peers.{module}", url, workload, *options]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = ran.stderr.strip().splitlines()
        return f"its set-up failed: {lines[-1]}" if ran.returncode else None

    return install


_POSTGRESQL_AUDIT = (
    (
        "insert into transaction (native_transaction_id, issued_at, actor_id) "
        "values (pg_current_xact_id(), now() at time zone 'utc', '42') "
        "on conflict on constraint transaction_unique_native_tx_id do nothing"
    ),
)
_PGHISTORY = (
    (
        "select set_config('pghistory.context_id', gen_random_uuid()::text, true), "
        "set_config('pghistory.context_metadata', '{\"user\": 42}', true)"
    ),
)

UNAUDITED = System("unaudited", _nothing)
FLOOR = System("floor", _floor)
AUDITDB = System(
    "auditdb", _auditdb, ("select audit.set_actor('platform_user', '42', 'ana@example.com')",)
)
OURS = (UNAUDITED, FLOOR, AUDITDB)
PEERS = (
    System(
        "postgresql-audit, statement",
        _peer("postgresql_audit", "postgresql_audit", "statement"),
        _POSTGRESQL_AUDIT,
    ),
    System(
        "postgresql-audit, row",
        _peer("postgresql_audit", "postgresql_audit", "row"),
        _POSTGRESQL_AUDIT,
    ),
    System(
        "django-pghistory, statement",
        _peer("pghistory", "django_pghistory", "statement"),
        _PGHISTORY,
    ),
    System("django-pghistory, row", _peer("pghistory", "django_pghistory", "row"), _PGHISTORY),
)
TRIGGERS = OURS + PEERS
"""All that work by triggers: whatever sends the statement, they see it."""
