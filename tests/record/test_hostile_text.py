"""Text that people chose reaches a terminal only as text: no control character, no flood."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from tests.conftest import Connect
from tests.support import ROOT
from tests.support.helpers import platform

# Characters that move the cursor, colour, beep, hide or turn text around.
HOSTILE = (
    "\x1b[2J\x1b[1;31mred\x1b]0;title\x07\x1b]8;;http://x.example\x1b\\link"
    "\r\n\tover\x08\x08\x7f\x9b31m\x85\u2028\u202egnp.exe\u2066\u200b\ufeff[bold]x[/bold]"
)
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session in autocommit mode: what it writes can be read by the command."""
    return connect(autocommit=True)


def log(
    conn: psycopg.Connection, *arguments: str, columns: int = 160
) -> subprocess.CompletedProcess[str]:
    """Run the command on the database of a session, as a terminal would show it."""
    info = conn.info
    login = info.user + (f":{info.password}" if info.password else "")
    url = f"postgresql://{login}@/{info.dbname}?host={info.host}&port={info.port}"
    return subprocess.run(
        [sys.executable, "-m", "auditdb", "log", *arguments, "--url", url],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": str(columns), "PYTHONUTF8": "1"},
        check=True,
        cwd=ROOT,
        timeout=120,
    )


WRITES: dict[str, LiteralString] = {
    "item label": "update licensing.customers set email = %s",
    "value": "update licensing.customers set phone = %s",
    "part name": "update licensing.product_features set code = %s || code",
    "actor": "with a as materialized (select audit.set_actor(t, t, t, jsonb_build_object(t, t))"
    "   from (select %s::text) as v (t)) update licensing.customers set phone = '1' from a",
    "application": "with a as materialized (select set_config('application_name', %s, false))"
    " update licensing.customers set phone = '2' from a",
}


@pytest.mark.parametrize("place", WRITES)
@pytest.mark.parametrize("columns", [40, 160])
def test_control_characters_are_shown_not_obeyed_in_a_table(
    owner: psycopg.Connection, place: str, columns: int
) -> None:
    platform(owner)
    owner.execute(WRITES[place], (HOSTILE,))
    shown = log(owner, "--text", "--all", columns=columns)
    assert RAW.findall(shown.stdout) == []
    assert shown.stderr == ""
    if place != "application":
        assert r"\x1b[2J" in re.sub(r"\s", "", shown.stdout)
        assert max(map(len, shown.stdout.splitlines())) <= columns


@pytest.mark.parametrize("place", WRITES)
def test_control_characters_are_escaped_in_json_lines_and_none_is_lost(
    owner: psycopg.Connection, place: str
) -> None:
    platform(owner)
    owner.execute(WRITES[place], (HOSTILE,))
    shown = log(owner, "--json", "--all")
    assert RAW.findall(shown.stdout) == []
    newest = json.loads(shown.stdout.split("\n", 1)[0])
    if place != "application":  # PostgreSQL itself puts \x1b and the like in its place
        assert any(HOSTILE in text for text in strings(newest))


def strings(found: object) -> Iterator[str]:
    """Yield all strings in what JSON was read as."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        yield from strings([*found, *found.values()])
    elif isinstance(found, list):
        for item in found:
            yield from strings(item)


@pytest.mark.parametrize("place", ["item label", "value", "actor"])
@pytest.mark.parametrize("text", ["x" * 1_048_576, "\x1b[1m" * 262_144], ids=["long", "escapes"])
def test_a_megabyte_of_text_is_cut_in_a_table_and_whole_in_json(
    owner: psycopg.Connection, place: str, text: str
) -> None:
    platform(owner)
    if place == "actor":
        with owner.transaction():
            # audit.set_actor() takes no such label, but a setting made by hand may have one.
            owner.execute(
                "select set_config('audit.actor', concat_ws(chr(31),"
                " extract(epoch from current_timestamp), 'platform_user', '7', %s::text), true)",
                (text,),
            )
            owner.execute("update licensing.customers set phone = '1'")
    else:
        owner.execute(WRITES[place], (text,))
    table = log(owner, "--text", "--all")
    assert "…" in table.stdout
    assert len(table.stdout) < 100_000
    assert RAW.findall(table.stdout) == []
    newest = json.loads(log(owner, "--json", "--limit", "1").stdout)
    assert text in (
        newest["item_label"],
        newest["actor_label"],
        newest["changes"]["phone"]["new"] if "phone" in newest["changes"] else None,
    )
