"""What a session prepares for a partitioned table: once, however many partitions it writes to."""

import psycopg
import pytest

MANY = 30
WRITES = {
    "insert": "insert into s.thing select n, 1000 + n + {0}, 'a' from generate_series(1, {0}) as n",
    "update": "update s.thing set v = 'b' where id <= {0}",
    "delete": "delete from s.thing where id <= {0}",
}


@pytest.fixture
def thing(connection: psycopg.Connection) -> None:
    """A tracked table of many partitions, and what its rows look up."""
    connection.execute("""
        create schema s;
        create table s.place (id int primary key, name text);
        create table s.thing (
          id int references s.place on delete cascade, n int, v text, primary key (id, n)
        ) partition by list (id);
    """)
    for number in range(1, MANY + 1):
        connection.execute(
            f"create table s.thing_{number} partition of s.thing for values in ({number})"
        )
    connection.execute("""
        select audit.track('s.thing', item_label => 'place.name', lookups => '{"place": "id"}');
        insert into s.place select n, 'p' || n from generate_series(1, 30) as n;
    """)


@pytest.mark.usefixtures("thing")
@pytest.mark.parametrize("write", WRITES)
def test_the_statements_of_a_write_are_planned_once(
    connection: psycopg.Connection, write: str
) -> None:
    def prepared() -> int:
        ((count,),) = connection.execute("""
            select count(*) from pg_backend_memory_contexts where name = 'CachedPlanSource'
        """).fetchall()
        return int(count)

    if write != "insert":
        connection.execute(WRITES["insert"].format(MANY))
    connection.execute(WRITES[write].format(1))
    before = prepared()
    connection.execute(WRITES[write].format(MANY))
    # The trigger of each partition calls what is shared and returns; a deletion has two triggers,
    # the other for what is looked up.
    triggers = (2 if write == "delete" else 1) * (MANY - 1)
    assert triggers <= prepared() - before <= 2 * triggers + 2
