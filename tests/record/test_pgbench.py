"""A program that knows nothing of the log, pgbench, runs its TPC-B load; the log adds up to it."""

from psycopg import conninfo

from tests.conftest import Connect
from tests.support.helpers import value
from tests.support.servers import Server

CLIENTS, TRANSACTIONS = 4, 250
TOTAL = CLIENTS * TRANSACTIONS

TRACK = """
alter table pgbench_history add id bigint generated always as identity primary key;
select audit.track('pgbench_accounts', item_type => 'account'),
  audit.track('pgbench_tellers', item_type => 'teller'),
  audit.track('pgbench_branches', item_type => 'branch'),
  audit.track('pgbench_history', item_type => 'transfer');
"""

# What the log says of a table, beside what the table says: rows where the two differ.
DIFFERENCES = """
with logged as (
  select item_id, sum((changes #>> '{{{column},new}}')::bigint
    - (changes #>> '{{{column},old}}')::bigint) as change
  from audit.log where action = '{item}_updated' group by item_id
)
select count(*) from pgbench_{table} as t full join logged as l on l.item_id = t.{key}::text
where t.{column} is distinct from coalesce(l.change, 0)
"""

# Each update of a row begins with the value that the one before it left.
CHAINS = """
select count(*) from (
  select (changes #>> '{{{column},old}}')::bigint as old,
    lag((changes #>> '{{{column},new}}')::bigint, 1, 0::bigint)
      over (partition by item_id order by id) as before
  from audit.log where action = '{item}_updated'
) as step where old <> before
"""

TABLES = [
    ("accounts", "account", "aid", "abalance"),
    ("tellers", "teller", "tid", "tbalance"),
    ("branches", "branch", "bid", "bbalance"),
]


def test_the_log_of_pgbench_adds_up_to_its_balances(
    server: Server, database: str, connect: Connect
) -> None:
    name = str(conninfo.conninfo_to_dict(database)["dbname"])
    server.run("pgbench", "-i", "-q", "-s", "1", name)
    conn = connect(autocommit=True)
    conn.execute(TRACK)
    finished = server.run(
        "pgbench", "-n", "-c", str(CLIENTS), "-j", "2", "-t", str(TRANSACTIONS), name
    )
    assert f"actually processed: {TOTAL}/{TOTAL}" in finished.stdout

    counted: dict[str, int] = dict(
        conn.execute(
            "select action, count(*) from audit.log where item_type <> 'table' group by 1"
        ).fetchall()
    )
    # A delta is a random number, 0 too: then nothing changed, and the log says nothing.
    zeros = value(conn, "select count(*) from pgbench_history where delta = 0")
    assert counted == {
        "account_updated": TOTAL - zeros,
        "teller_updated": TOTAL - zeros,
        "branch_updated": TOTAL - zeros,
        "transfer_created": TOTAL,
    }
    for table, item, key, column in TABLES:
        names = {"table": table, "item": item, "key": key, "column": column}
        assert value(conn, DIFFERENCES.format(**names)) == 0, table
        assert value(conn, CHAINS.format(**names)) == 0, table

    unequal = (
        "select count(*) from (select tx from audit.log where action <> 'transfer_created'"
        " and item_type <> 'table' group by tx having count(*) <> 3 or count(distinct"
        " coalesce((changes #>> '{abalance,new}')::bigint - (changes #>> '{abalance,old}')::bigint,"
        " (changes #>> '{tbalance,new}')::bigint - (changes #>> '{tbalance,old}')::bigint,"
        " (changes #>> '{bbalance,new}')::bigint - (changes #>> '{bbalance,old}')::bigint)) <> 1)"
        " as t"
    )
    assert value(conn, unequal) == 0
    equal = (
        "select count(*) from audit.events as l, jsonb_each(l.changes) as c"
        " where l.action ~ '_updated$' and c.value -> 'old' = c.value -> 'new'"
    )
    assert value(conn, equal) == 0
    overall = (
        "select sum((changes #>> '{delta,new}')::bigint) from audit.events"
        " where action = 'transfer_created'"
    )
    total = value(conn, overall)
    for table, _, _, column in TABLES:
        assert value(conn, f"select sum({column}) from pgbench_{table}") == total
    assert value(
        conn, "select array_agg(distinct application) from audit.log where item_type <> 'table'"
    ) == ["pgbench"]
