"""Times of every year that PostgreSQL has are shown as they are, wherever they are shown."""

import json
from datetime import UTC, datetime

import pytest
from psycopg.types.json import Jsonb

import auditdb
from auditdb import Event
from auditdb._export import follow
from auditdb._query.filters import filtered
from tests.conftest import Connect
from tests.support.commands import add
from tests.support.commands import auditdb as command
from tests.support.helpers import value

pytestmark = pytest.mark.quick

FAR = [
    ("4714-11-24 00:00Z BC", "4714-11-24T00:00:00.000000+00:00 BC", "4714-11-24 00:00:00 BC"),
    ("0001-02-03 04:05:06Z BC", "0001-02-03T04:05:06.000000+00:00 BC", "0001-02-03 04:05:06 BC"),
    ("0001-01-01Z", "0001-01-01T00:00:00.000000+00:00", "0001-01-01 00:00:00"),
    ("0999-01-02Z", "0999-01-02T00:00:00.000000+00:00", "0999-01-02 00:00:00"),
    ("9999-12-31 23:59:59.5Z", "9999-12-31T23:59:59.500000+00:00", "9999-12-31 23:59:59"),
    ("12025-03-01 10:00Z", "12025-03-01T10:00:00.000000+00:00", "12025-03-01 10:00:00"),
    ("294276-12-31 23:59Z", "294276-12-31T23:59:00.000000+00:00", "294276-12-31 23:59:00"),
]


@pytest.mark.parametrize(("moment", "iso", "shown"), FAR)
def test_every_year_of_the_database_is_shown(
    connect: Connect, database: str, moment: str, iso: str, shown: str
) -> None:
    conn = connect(autocommit=True)
    columns = {"occurred_at": moment, "item_type": "t", "item_id": "9"}
    add(database, **columns, changes=Jsonb({"c": {"old": 1, "new": 2}}))
    (event,) = auditdb.events(conn, item=("t", 9))
    (change,) = auditdb.field_history(conn, ("t", 9), "c")
    assert (event.occurred_at_iso, change.occurred_at_iso) == (iso, iso)
    assert (event.as_dict()["occurred_at"], json.loads(event.as_json())["occurred_at"]) == (
        iso,
    ) * 2
    # As PostgreSQL itself has it in JSON, but for the microseconds.
    conn.execute("set timezone = 'UTC'")
    own = value(conn, "select to_json(occurred_at) #>> '{}' from audit.log where item_type = 't'")
    assert iso.replace(".000000", "").replace(".500000", ".5") == own
    (line,) = auditdb.changes(conn, event)
    assert (line.old, line.new) == ("1", "2")
    assert auditdb.item_history(conn, ("t", 9)) == (event,)
    assert auditdb.event(conn, event.key) == event
    for options in ((), ("--all",), ("--limit", "1")):
        where = ("--item", "t:9", "--url", database, *options)
        assert shown in command("log", "--text", *where).stdout
        (told,) = command("log", "--json", *where).stdout.splitlines()
        assert json.loads(told)["occurred_at"] == iso
    wanted = filtered(item=("t", 9), since=datetime.min.replace(tzinfo=UTC))
    if " BC" not in iso:
        assert next(follow.batches(conn, wanted)) == [event]


def test_a_follower_is_given_years_that_python_has_not(connect: Connect, database: str) -> None:
    conn = connect(autocommit=True)
    found: list[Event] = []
    wanted = filtered(item=("t", 9))
    batches = follow.batches(conn, wanted, wait=lambda _: add_far(database, found))
    while len(found) < len(FAR):
        found += next(batches)
    assert [event.occurred_at_iso for event in found] == [iso for _, iso, _ in FAR]


def add_far(url: str, found: list[Event]) -> None:
    """Write the next of the far times."""
    add(url, occurred_at=FAR[len(found)][0], item_type="t", item_id="9")
