"""Counts what auditing costs a writer: instructions of the backend, which no load can blur.

Runs `valgrind --tool=callgrind postgres --single` twice on each design, with few and with many
statements; the difference, divided by the number of statements between them, is the cost of one.

    python -m benchmarks.instructions [--pg 18] [--pg 15]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from auditdb import migrate
from tests.servers import Server, as_account, installed, running, unprivileged_account

if TYPE_CHECKING:
    from collections.abc import Callable

ACTOR = "\x1f".join(("platform_user", "42", "ana@example.com"))

# A table with rows, so that a statement finds its row by index.
ROWS = """
insert into licensing.accounts (name) values ('Acme');
insert into licensing.products (account_id, name, code) values (1, 'Studio', 'studio');
insert into licensing.customers (account_id, email) values (1, 'customer@example.com');
insert into licensing.orders (account_id, customer_id, reference) values (1, 1, 'R-1');
insert into licensing.licenses (account_id, product_id, order_id, customer_id, license_key)
select 1, 1, 1, 1, 'AAAA-BBBB-CCCC-' || g from generate_series(1, 12000) as g;
"""

# The least that a trigger which writes a row to the same log can cost.
FLOOR = """
select audit.untrack('licensing.licenses');
create function public.floor_row() returns trigger language plpgsql as $$
begin
  insert into audit.log (account_id, action, item_type, item_id, item_label, parent_type, parent_id,
    actor_type, actor_id, actor_label, db_role, application, is_cascade, changes, context)
  values ('1', 'license_updated', 'license', '1', '1234', null, null, 'platform_user', '42',
    'ana@example.com', 'postgres', 'postgres', false,
    '{"note": {"new": "note 123", "old": "note 122"}}', null);
  return null;
end;
$$;
create trigger floor_row after insert or update on licensing.licenses
  for each row execute function public.floor_row();
"""

DESIGNS = {
    "unaudited": "select audit.untrack('licensing.licenses')",
    "floor": FLOOR,
    "auditdb": "select 1",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of statement whose cost is asked for."""

    title: str
    few: int
    many: int
    script: Callable[[int], list[str]]
    """Returns the lines for a backend in single-user mode: a statement a line."""
    designs: tuple[str, ...] = tuple(DESIGNS)


def update(number: int) -> str:
    """Return an UPDATE of one audited column of one row."""
    return f"update licensing.licenses set note = 'note {number}' where id = 1"


def in_one_transaction(count: int) -> list[str]:
    """Return updates in one transaction that has an actor."""
    actor = f"select set_config('audit.actor', '{ACTOR}', true)"
    return ["begin", actor, *map(update, range(count)), "commit"]


def alone(count: int) -> list[str]:
    """Return updates that are a transaction each, with an actor set by the statement itself."""
    actor = f" and set_config('audit.actor', '{ACTOR}', true) <> ''"
    return [update(number) + actor for number in range(count)]


def heartbeats(count: int) -> list[str]:
    """Return updates of operational columns."""
    return [
        f"update licensing.licenses set times_activated = {n}, last_checked_at = now() where id = 1"
        for n in range(count)
    ]


def insert(count: int, start: int = 0) -> str:
    """Return one INSERT of many rows."""
    return (
        "insert into licensing.licenses (account_id, product_id, order_id, customer_id, "
        f"license_key) select 1, 1, 1, 1, 'DDDD-EEEE-FFFF-' || g from generate_series({start + 1}, "
        f"{start + count}) as g"
    )


def inserts(count: int) -> list[str]:
    """Return INSERTs of one row each, a transaction each."""
    return [insert(1, number) for number in range(count)]


CASES = (
    Case("audited update, many in a transaction", 100, 600, in_one_transaction),
    Case("audited update, a transaction each", 100, 600, alone),
    Case("update of operational columns", 100, 600, heartbeats),
    Case("insert of one row, a transaction each", 100, 600, inserts),
    Case("bulk insert, for each row", 2_000, 12_000, lambda count: [insert(count)]),
)


def plain_bulk(database: str) -> dict[str, Callable[[int], list[str]]]:
    """Return the plain statements that write to the log what a bulk insert makes triggers write."""
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "select prosrc from pg_proc where oid = 'audit.licensing_licenses_insert'::regproc"
        ).fetchone()
    assert found
    body = re.search(r"insert into audit\.log.*?;\n", found[0], re.DOTALL)
    assert body
    built = body[0].rstrip(";\n")
    for variable, value in {
        "_audit.v_actor_type": "'platform_user'",
        "_audit.v_actor_id": "'42'",
        "_audit.v_actor_label": "'ana@example.com'",
        "_audit.v_context": "null",
    }.items():
        built = built.replace(variable, value)
    built = " ".join(built.split())
    rows = "(select * from licensing.licenses limit {})"
    columns = built[built.index("(") : built.index(")") + 1]
    copied = (
        f"insert into audit.log {columns} select {columns.strip('() ')} from audit.log "
        "where action = 'license_created' limit {}"
    )
    return {
        "same rows, built": lambda n: [built.replace("new_rows", rows.format(n))],
        "same rows, copied": lambda n: [copied.format(n)],
    }


def prepare(server: Server) -> dict[str, Callable[[int], list[str]]]:
    """Make a database for each design, alike but for the triggers; return the plain statements."""
    server.execute("create database {}", "auditdb")
    migrate.upgrade(server.url("auditdb"))
    with psycopg.connect(server.url("auditdb")) as connection:
        connection.execute(ROWS)
    with psycopg.connect(server.url("auditdb"), autocommit=True) as connection:
        connection.execute("vacuum analyze")
    plain = plain_bulk(server.url("auditdb"))
    for design, statement in DESIGNS.items():
        if design != "auditdb":
            server.execute("create database {} template auditdb", design)
            with psycopg.connect(server.url(design)) as connection:
                connection.execute(statement)
    return plain


def count(server: Server, design: str, lines: list[str]) -> int:
    """Return the instructions that a backend alone takes for a script."""
    answer = subprocess.run(
        [
            "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
            server.bindir / "postgres", "--single", "-D", Path(server.host) / "data",
            "-c", "log_min_messages=error", "-c", "autovacuum=off", design,
        ],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
        cwd=server.host,
        **as_account(unprivileged_account()),
    )  # fmt: skip
    if "ERROR" in answer.stderr:
        raise RuntimeError(answer.stderr[-2000:])
    collected = re.search(r"Collected : (\d+)", answer.stderr)
    assert collected
    return int(collected[1])


def cost(server: Server, design: str, case: Case, script: Callable[[int], list[str]]) -> float:
    """Return the instructions of one statement (or row) in thousands."""
    few = count(server, design, script(case.few))
    many = count(server, design, script(case.many))
    return (many - few) / (case.many - case.few) / 1000


def stop(server: Server) -> None:
    """Stop the server: a data directory serves one backend alone or a server, not both."""
    subprocess.run(
        [server.bindir / "pg_ctl", "-D", Path(server.host) / "data", "-w", "-m", "fast", "stop"],
        check=True,
        capture_output=True,
        cwd=server.host,
        **as_account(unprivileged_account()),
    )


def measure(server: Server) -> list[str]:
    """Return the lines of a Markdown table for one version of PostgreSQL."""
    plain = prepare(server)
    stop(server)
    lines = [
        f"PostgreSQL {server.version}, thousands of instructions for a statement:",
        "",
        "| statement | unaudited | floor | auditdb | over unaudited | ratio to the floor |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for case in CASES:
        costs = {design: cost(server, design, case, case.script) for design in case.designs}
        over = {design: value - costs["unaudited"] for design, value in costs.items()}
        lines.append(
            f"| {case.title} | {costs['unaudited']:.0f} | {costs['floor']:.0f} | "
            f"{costs['auditdb']:.0f} | +{over['auditdb']:.0f} | "
            f"{over['auditdb'] / over['floor']:.2f} |"
        )
        sys.stderr.write(lines[-1] + "\n")
    bulk = CASES[-1]
    for title, script in plain.items():
        value = cost(server, "auditdb", bulk, script)
        ratio = over["auditdb"] / value
        lines.append(
            f"| `insert into audit.log select …`, {title} | | | {value:.0f} | | {ratio:.2f} ¹ |"
        )
    lines += ["", "¹ what the triggers add to a bulk insert, divided by this statement.", ""]
    return lines


def main() -> None:
    """Print a table for each version of PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pg", type=int, action="append", help="major version (default: all)")
    wanted = parser.parse_args().pg
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is needed to count instructions: install it, then try again.")
    for candidate in installed():
        if not wanted or candidate.version in wanted:
            bindir = Path(candidate.origin)
            with running(bindir, candidate.version) as server:
                sys.stdout.write("\n".join(measure(server)) + "\n")


if __name__ == "__main__":
    main()
