"""Rows are added to the log and never changed: not by its owner, in no mode, in no partition."""

from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect
from tests.support.helpers import value

pytestmark = pytest.mark.quick


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of everything, a superuser."""
    return connect()


@pytest.fixture
def log_with_rows(owner: psycopg.Connection) -> psycopg.Connection:
    """The owner's session on a log with a row in a month, in the past and in the future."""
    for at in ("0044-03-15 BC", "1999-01-01", "2999-12-31"):
        owner.execute(
            "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
            " db_role) values (%s, 'a', 'b', 'c', 'd', 'e', 'f')",
            (at,),
        )
    owner.commit()
    return owner


@pytest.mark.parametrize("role", ["origin", "replica", "local"])
def test_the_owner_can_neither_update_delete_nor_truncate(
    log_with_rows: psycopg.Connection, role: str
) -> None:
    owner = log_with_rows
    before = value(owner, "select count(*) from audit.log")
    places = owner.execute(
        "select c.relname from pg_partition_tree('audit.log') as p"
        " join pg_class as c on c.oid = p.relid"
    ).fetchall()
    assert len(places) > 20
    owner.commit()
    for (name,) in places:
        target = sql.Identifier("audit", name)
        has_rows = owner.execute(sql.SQL("select count(*) from {}").format(target)).fetchone()
        owner.commit()
        statements: list[LiteralString] = ["truncate {}", "truncate {} cascade"]
        if has_rows != (0,):
            statements += [
                "update {} set actor_id = 'x'",
                "delete from {}",
                "with gone as (delete from {} returning *) select * from gone",
                "merge into {} as l using (select 1) as one on true when matched then delete",
            ]
        for statement in statements:
            owner.execute(sql.SQL("set session_replication_role = {}").format(sql.Identifier(role)))
            with pytest.raises(psycopg.Error, match="append-only") as refused:
                owner.execute(sql.SQL(statement).format(target))
            assert refused.value.sqlstate == "UA004"
            owner.rollback()
    assert value(owner, "select count(*) from audit.log") == before


def test_an_upsert_cannot_change_a_row_of_the_log(log_with_rows: psycopg.Connection) -> None:
    """Somebody gave a month a unique index, which the log itself has none of."""
    (partition,) = log_with_rows.execute(
        "select tableoid::regclass::text from audit.log limit 1"
    ).fetchone() or ("",)
    log_with_rows.execute(f"create unique index on {partition} (id, tx)".encode())
    with pytest.raises(psycopg.Error, match="append-only"):
        log_with_rows.execute(
            f"insert into {partition} select * from {partition}"
            " on conflict (id, tx) do update set actor_id = 'x'".encode()
        )


def test_the_guard_comes_with_every_new_partition(owner: psycopg.Connection) -> None:
    assert value(owner, "select audit.maintain('30 months')") > 0
    unguarded = owner.execute(
        "select p.relid::regclass, e.name from pg_partition_tree('audit.log') as p"
        " cross join unnest(array['refuse_change', 'refuse_truncate']) as e (name)"
        " where not exists (select from pg_trigger as g where g.tgrelid = p.relid"
        "   and g.tgname = e.name and g.tgenabled = 'A')"
    ).fetchall()
    assert unguarded == []
