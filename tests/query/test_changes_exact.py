"""A change is a change however alike the values look as JSON; the other questions ask for none."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

import auditdb
from auditdb import InvalidQuestion
from tests.support.helpers import recorded

if TYPE_CHECKING:
    import psycopg

# Type, value before, value after: what JSON takes for equal, or nearly.
ALIKE = [
    ("numeric", "1.10", "1.1"),
    ("numeric", "100", "1e2::numeric(20,4)"),
    ("jsonb", "'{\"a\": [1.10]}'", "'{\"a\": [1.1]}'"),
    ("jsonb", "null", "'null'"),
    ("jsonb", "'null'", "null"),
    ("jsonb", "'\"5\"'", "'5'"),
    ("jsonb", "'\"null\"'", "'null'"),
    ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("json", "null", "'null'"),
    ("jsonb[]", "array['1.0'::jsonb]", "array['1'::jsonb]"),
    ("numeric[]", "'{1.0}'", "'{1}'"),
    ("text", "''", "null"),
    ("text", "'null'", "null"),
    ("interval", "'1 day'", "'24 hours'"),
    ("float8", "'0'", "'-0'"),
    ("char(3)", "'a'", "null"),
]


@pytest.mark.parametrize(("kind", "was", "became"), ALIKE)
def test_every_change_is_told_everywhere(
    connection: psycopg.Connection, kind: str, was: str, became: str
) -> None:
    connection.execute(
        f"create table public.t (id int primary key, v {kind}); select audit.track('public.t');"
        f"insert into public.t values (1, {was})".encode()
    )
    with recorded(connection) as log:
        connection.execute(f"update public.t set v = {became}".encode())
    assert [list(row.changes or ()) for row in log] == [["v"]]
    (event, _) = auditdb.events(connection, item=("t", 1))
    shown = connection.execute(
        "select column_name from audit.changes where item_type = 't' and action = 't_updated'"
    )
    assert shown.fetchall() == [("v",)]
    assert [one.column for one in auditdb.changes(connection, event)] == ["v"]
    assert len(auditdb.field_history(connection, ("t", 1), "v")) == 2


def test_what_tells_a_part_is_no_change(connection: psycopg.Connection) -> None:
    connection.execute(
        "create table public.bill (id int primary key);"
        "create table public.line (bill int, n int, name text, v numeric, primary key (bill, n));"
        "select audit.track('public.bill');"
        "select audit.track('public.line', item_type => 'bill', item_id => 'bill',"
        "  part => 'lines', part_name => 'name');"
        "insert into public.bill values (1); insert into public.line values (1, 2, 'A', 1.10)"
    )
    connection.execute("update public.line set v = 1.1")
    event = auditdb.events(connection, item=("bill", 1))[0]
    assert set(event.changes) == {"lines/A/n", "lines/A/v"}
    assert [one.column for one in auditdb.changes(connection, event)] == ["lines/A/v"]


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("+02:00", "2026-01-01 22:00Z", 2),
        ("+02:00", "2026-01-01 21:59Z", 1),
        ("-0930", "2026-01-02 09:29Z", 1),
        ("-0930", "2026-01-02 09:30Z", 2),
        ("+14", "2026-01-01 10:00Z", 2),
        ("Asia/Tokyo", "2026-01-01 15:00Z", 2),
        ("Etc/GMT+2", "2026-01-02 01:59Z", 1),
        ("EST", "2026-01-02 04:59Z", 1),
    ],
)
def test_days_begin_where_iso_8601_says(
    connection: psycopg.Connection, zone: str, moment: str, day: int
) -> None:
    connection.execute(
        "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
        " db_role, era, changes) values (%s, 'x', 'x', '1', 'x', 'x', 'x', 1, '{}')",
        [moment],
    )
    (found,) = auditdb.counts(connection, by="day", item=("x", 1), timezone=zone)
    assert found.day == date(2026, 1, day)


@pytest.mark.parametrize(
    "zone", ["UTC+2", "GMT-3", "CET-1CEST", "<+02>-02", "+2", "2", "+15:00", ""]
)
def test_an_offset_that_could_mean_either_is_refused(
    connection: psycopg.Connection, zone: str
) -> None:
    with pytest.raises(InvalidQuestion, match="no name of a time zone") as refused:
        auditdb.counts(connection, by="day", timezone=zone)
    assert "+02:00" in str(refused.value)


def test_a_number_of_two_transactions_is_asked_for_with_the_era(
    connection: psycopg.Connection,
) -> None:
    connection.execute(
        "insert into audit.log (occurred_at, tx, action, item_type, item_id, actor_type, actor_id,"
        " db_role, era, changes) select now(), 77, 'x', 'x', e::text, 'x', 'x', 'x', e, '{}'"
        " from unnest(array[1, -2, 1]) as e"
    )
    with pytest.raises(InvalidQuestion, match="of the eras -2, 1") as refused:
        auditdb.transaction_events(connection, 77)
    assert "era=1" in str(refused.value)
    found = auditdb.transaction_events(connection, 77, era=-2)
    assert [one.item_id for one in found] == ["-2"]
    assert len(auditdb.transaction_events(connection, 77, era=1)) == 2
