"""An event has one JSON form: Event.as_dict(), as_json() and `auditdb log --json` agree."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import psycopg
import pytest

import auditdb
from auditdb import Event
from tests.support.commands import add
from tests.support.commands import auditdb as run

NUMBERS = (
    '{"n": {"old": 12345678901234567890.10, "new": 1.0}, "big": {"new": 9007199254740993},'
    ' "exponent": {"new": 1e400}, "text": {"new": "1.10"}}'
)
HOSTILE = "\x1b[2J\u202e\u2028\u200b\ufeff\x85é😀\\\"'"
DEEP = '{"note": {"old": ' + '{"a": ' * 2500 + "1" + "}" * 2500 + ', "new": 1}}'


def written(url: str, *documents: dict[str, Any]) -> list[tuple[str, Event]]:
    """Write rows of the log; return what the command prints of each, and its event."""
    for columns in documents:
        add(url, **columns)
    ran = run("log", "--url", url, "--json", "--all", "--account", "1")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.split("\n")[:-1]
    with psycopg.connect(url) as conn:
        events = list(auditdb.iter_events(conn, account_id=1))
    assert len(lines) == len(events) == len(documents)
    return list(zip(lines, events, strict=True))


def test_all_say_the_same_and_lose_nothing(database: str) -> None:
    found = written(
        database,
        {"changes": NUMBERS, "context": '{"ip": "192.0.2.7", "n": 0.10}'},
        {"changes": None, "context": None},
        {"changes": "{}", "context": "{}"},
        {"item_label": HOSTILE, "changes": json.dumps({HOSTILE: {"new": HOSTILE}})},
    )
    for line, event in found:
        assert event.as_json() == line
        whole = event.as_dict()
        assert json.loads(line, parse_float=Decimal) == whole
        assert list(json.loads(line)) == list(whole)
        assert (whole["id"], whole["tx"]) == (str(event.id), str(event.tx))
        assert whole["occurred_at"] == "2026-03-01T12:00:00.000000+00:00"
    assert [event.as_dict()["changes"] is None for _, event in found] == [False, False, True, False]
    numbers = found[-1][1]
    assert str(numbers.as_dict()["changes"]["n"]["old"]) == "12345678901234567890.10"
    assert '"old": 12345678901234567890.10' in numbers.as_json()
    assert found[0][1].as_dict()["item_label"] == HOSTILE
    assert not set("\x1b\u202e\u2028\u200b\ufeff\x85") & set(found[0][0])


def test_it_has_the_columns_of_the_view_in_their_order(database: str) -> None:
    ((_, event),) = written(database, {})
    with psycopg.connect(database) as conn:
        columns = conn.execute("select * from audit.events limit 0").description or []
    assert event.as_dict().keys() == {column.name for column in columns}
    for name, known in asdict(event).items():
        if name not in ("id", "tx", "occurred_at", "changes_json", "context_json", "moved_json"):
            assert event.as_dict()[name] == known, name


def test_a_plain_event_is_written_by_json_itself(database: str) -> None:
    ((line, event),) = written(database, {})
    assert json.loads(json.dumps(event.as_dict())) == json.loads(line)


def test_what_is_nested_too_deeply_for_python_is_text(database: str) -> None:
    ((line, event),) = written(database, {"changes": DEEP})
    assert event.as_json() == line
    assert '"a": ' * 3 + "1" not in line
    assert line.count('{"a": ') == 2500
    with pytest.raises(RecursionError):
        event.as_dict()
