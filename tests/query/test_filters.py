"""A filter is one field of Filter: its condition, its values and its name in a manifest."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import typer.core
import typer.main
from psycopg import sql

from auditdb._cli.app import app
from auditdb._connection.runner import PARAMETER
from auditdb._export.conditions import of_filter
from auditdb._query.filters import Filter, filtered

pytestmark = pytest.mark.quick

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GIVEN: dict[str, dict[str, Any]] = {
    "account_id": {"account_id": 1},
    "item": {"item": ("license", 42)},
    "include_parts": {"item": ("license", 42), "include_parts": False},
    "tables": {"table": ["s.t", "s.u"]},
    "actions": {"action": ["b", "a"]},
    "actor": {"actor": ("platform_user", 7)},
    "on_behalf_of": {"on_behalf_of": ("customer", 7)},
    "since": {"since": NOON},
    "until": {"until": NOON},
    "baseline": {"baseline": False},
}
"""For each field of Filter, what it is given by."""
NAMES = {"account", "item", "table", "action", "actor", "on_behalf_of", "since", "until"}
"""The parameters of commands that are filters."""


def test_every_filter_is_tried() -> None:
    assert GIVEN.keys() == {one.name for one in fields(Filter)}


@pytest.mark.parametrize("name", GIVEN)
def test_a_filter_is_a_condition_with_its_values(name: str) -> None:
    wanted = filtered(**GIVEN[name])
    without = replace(wanted, **{name: getattr(Filter(), name)})
    assert wanted != without
    assert wanted.condition() != without.condition()
    for text in (wanted.condition(), *(" and ".join(arm) for arm in wanted.arms())):
        assert set(PARAMETER.findall(text)) <= wanted.values.keys()
    used = {one for arm in wanted.arms() for text in arm for one in PARAMETER.findall(text)}
    assert used == wanted.values.keys()


# An export has what a baseline told, whoever asks.
@pytest.mark.parametrize(
    "name", [name for name in GIVEN if name not in ("include_parts", "baseline")]
)
def test_a_manifest_tells_every_filter(name: str) -> None:
    everything = Filter().as_json()
    told = filtered(**GIVEN[name]).as_json()
    assert told.keys() == everything.keys()
    assert set(everything.values()) == {None}
    assert len([key for key in told if told[key] != everything[key]]) == 1


def test_what_a_manifest_says_of_filters() -> None:
    assert filtered(
        account_id=1,
        item=("license", 42),
        table="s.t",
        action=["b", "a"],
        actor="api_key",
        on_behalf_of=("customer", 7),
        since=NOON,
        until=NOON,
    ).as_json() == {
        "account_id": "1",
        "item": "license:42",
        "tables": ["s.t"],
        "actions": ["a", "b"],
        "actor": "api_key",
        "on_behalf_of": "customer:7",
        "since": "2026-03-01T12:00:00.000000Z",
        "until": "2026-03-01T12:00:00.000000Z",
    }


def test_conditions_for_copy_have_their_values_in_them(connection: psycopg.Connection) -> None:
    hostile = "a'b\\c:d::e %s {x}"
    wanted = filtered(account_id=hostile, item=(hostile, hostile), action=[hostile], until=NOON)
    query = sql.SQL("select count(*) from audit.log as l where {}").format(of_filter(wanted))
    assert connection.execute(query).fetchone() == (0,)
    connection.execute(
        "insert into audit.log (account_id, occurred_at, action, item_type, item_id, actor_type,"
        " actor_id, db_role) values (%(text)s, '2026-02-01Z', %(text)s, %(text)s, %(text)s,"
        " 'x', 'x', 'x')",
        {"text": hostile},
    )
    assert connection.execute(query).fetchone() == (1,)


def test_commands_that_read_the_log_take_the_same_filters() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    taken = [
        {
            (one.opts[0], one.help)
            for one in group.commands[name].params
            if isinstance(one, typer.core.TyperOption) and one.name in NAMES
        }
        for name in ("log", "export")
    ]
    assert len(taken[0]) == len(NAMES)
    assert taken[0] == taken[1]
