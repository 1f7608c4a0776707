"""Runs pgbench's own load, TPC-B, on audited tables, and proves that the log adds up to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from benchmarks import databases
from benchmarks.effort import effort as default_effort
from benchmarks.load import load, with_clients
from benchmarks.systems import AUDITDB, TRIGGERS, System
from benchmarks.turns import Turns, rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort
    from benchmarks.result import Result
    from tests.support.servers import Server

CASE = "TPC-B"

# Rows of a table whose balance is not the sum of what the log says of it.
_DIFFERENCES = """
with logged as (
  select item_id, sum((changes #>> '{{{column},new}}')::bigint
    - (changes #>> '{{{column},old}}')::bigint) as change
  from audit.log where action = '{item}_updated' group by item_id
)
select count(*) from pgbench_{table} as t full join logged as l on l.item_id = t.{key}::text
where t.{column} is distinct from coalesce(l.change, 0)
"""
# Transfers that are in the log or in the table, but not the same in both.
_TRANSFERS = """
select count(*)
from pgbench_history as h
full join (select * from audit.events where action = 'transfer_created') as l
  on l.item_id = h.id::text
where h.delta is distinct from (l.changes #>> '{delta,new}')::bigint
"""
_BALANCES = (
    ("accounts", "account", "aid", "abalance"),
    ("tellers", "teller", "tid", "tbalance"),
    ("branches", "branch", "bid", "bbalance"),
)


class MismatchError(Exception):
    """The log does not add up to the balances."""


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    systems: Sequence[System] = TRIGGERS,
    effort: Effort | None = None,
) -> list[Result]:
    """Measure pgbench's transactions a second, and the CPU time of one.

    Raises:
        MismatchError: if the log of auditdb does not add up to the balances afterwards.
    """
    effort = effort or default_effort(server.version, full=full)
    workload = databases.pgbench(server, effort.scale)
    ready = databases.install(server, workload, systems, progress)
    turns = Turns("tpcb", server.version)
    done = dict.fromkeys((system.name for system in ready), 0)
    for system in ready:
        name = databases.database_of(workload, system)
        done[system.name] += load(server, name, None, clients=1, transactions=500).transactions
    for turn in range(1, effort.turns + 1):
        for clients in effort.clients:
            for system in rotated(ready, turn - 1):
                name = databases.database_of(workload, system)
                databases.vacuum(server, workload, system)
                ran = load(server, name, None, clients=clients, transactions=effort.transactions)
                done[system.name] += ran.transactions
                case = with_clients(CASE, clients)
                turns.add(case, system.name, "cpu", ran.cpu, "µs")
                turns.add(case, system.name, "rate", ran.rate, "transactions/s")
        progress(f"TPC-B: round {turn} of {effort.turns}")
    if AUDITDB in ready:
        name = databases.database_of(workload, AUDITDB)
        balances = prove(server.url(name), done[AUDITDB.name])
        turns.add("proof", AUDITDB.name, "transactions in the log", done[AUDITDB.name], "")
        turns.add("proof", AUDITDB.name, "balances that the log adds up to", balances, "")
        progress(f"the log of {done[AUDITDB.name]:,} transactions adds up to {balances:,} balances")
    return turns.results()


def prove(url: str, transactions: int) -> int:
    """Compare the log with the tables after so many transactions; return the balances that agree.

    Raises:
        MismatchError: with each difference.
    """
    wrong = []
    with psycopg.connect(url) as connection:
        connection.execute("set statement_timeout to 0")

        def number(statement: str) -> int:
            row = connection.execute(statement.encode()).fetchone()
            return int(row[0] or 0) if row else 0

        balances = 0
        for table, item, key, column in _BALANCES:
            names = {"table": table, "item": item, "key": key, "column": column}
            balances += number(f"select count(*) from pgbench_{table}")
            if differing := number(_DIFFERENCES.format(**names)):
                wrong.append(f"{differing} of pgbench_{table}.{column} differ from the log")
        if differing := number(_TRANSFERS):
            wrong.append(f"{differing} rows of pgbench_history differ from the log")
        logged = number("select count(*) from audit.log where action = 'transfer_created'")
        if logged != transactions:
            wrong.append(f"{transactions} transactions were done, {logged} are in the log")
        sums = {
            column: number(f"select sum({column}) from pgbench_{table}")
            for table, _, _, column in (*_BALANCES, ("history", "", "", "delta"))
        }
        if len(set(sums.values())) > 1:
            wrong.append(f"the sums of the tables differ: {sums}")
    if wrong:
        raise MismatchError("The log does not add up to the balances: " + "; ".join(wrong) + ".")
    return balances
