"""The option --table: rows of one table, where several have items of one type."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.support.commands import auditdb
from tests.support.exports import data, export, manifest


@pytest.fixture
def tenants(engine_database: str) -> str:
    with psycopg.connect(engine_database) as conn:
        for schema, label in (("t1", "one"), ("t2", "two")):
            conn.execute(
                f"create schema {schema}; create table {schema}.inv (id int primary key, a text);"
                f"select audit.track('{schema}.inv', item_label => 'a');"
                f"insert into {schema}.inv values (1, '{label}')".encode()
            )
    return engine_database


BOTH = ("--table", "t1.inv", "--table", "t2.inv")


@pytest.mark.parametrize(
    ("options", "labels"),
    [((), ["one", "two"]), (("--table", "t2.inv"), ["two"]), (BOTH, ["one", "two"])],
)
def test_rows_of_one_table_are_printed_and_exported(
    tenants: str, tmp_path: Path, options: tuple[str, ...], labels: list[str]
) -> None:
    shown = auditdb("log", "--url", tenants, "--item", "inv:1", *options)
    events = [json.loads(line) for line in shown.stdout.splitlines()]
    assert sorted(event["item_label"] for event in events) == labels
    place = tmp_path / "export"
    export(tenants, place, "--format", "jsonl", "--compress", "none", "--item", "inv:1", *options)
    (content,) = data(place).values()
    assert sorted(row["item_label"] for row in map(json.loads, content.splitlines())) == labels
    assert manifest(place)["filters"]["tables"] == (
        sorted({o for o in options if "." in o}) or None
    )
