"""What the command line prints of the log: whole and exact as JSON, harmless in a terminal."""

import re

import pytest
from psycopg.types.json import Jsonb

from auditdb._cli.saying import visible
from tests.support.commands import add, auditdb, lines, program, terminal

pytestmark = [pytest.mark.once, pytest.mark.quick]

HOSTILE = "\x1b[31mred\x1b[0m \x9b32m [bold]big[/bold] \u202egpj.exe \u2066 \r\n\x07 end"


def test_json_keeps_every_digit_and_any_depth(database: str) -> None:
    deep = '{"note": {"old": ' + '{"a": ' * 2500 + "1" + "}" * 2500 + ', "new": 1}}'
    digits = '{"price": {"old": 1.10, "new": 12345678901234567890.12345678901234567890}}'
    many = '{"n": {"new": ' + "9" * 5000 + "}}"
    for document in (deep, digits, many):
        add(database, changes=document)
    ran = program("log", "--url", database, "--account", "1")
    assert ran.returncode == 0
    assert '"old": 1.10' in ran.stdout
    assert "12345678901234567890.12345678901234567890" in ran.stdout
    assert "9" * 5000 in ran.stdout
    assert '{"a": ' * 2500 in ran.stdout
    table = program("log", "--url", database, "--account", "1", "--text")
    assert table.returncode == 0
    assert "nested too deeply" in table.stdout


@pytest.fixture
def hostile(database: str) -> str:
    """The URL of a database whose log holds text made to deceive whoever reads it."""
    text = HOSTILE
    add(
        database,
        item_label=text,
        item_id=text,
        actor_label="x" * 1_000_000,
        actor_id=text,
        on_behalf_of_type=text,
        on_behalf_of_id=text,
        on_behalf_of_label=text,
        action=text,
        changes=Jsonb({text: {"old": text, "new": "y" * 1_000_000}}),
        context=Jsonb({"user_agent": text}),
    )
    return database


@pytest.mark.parametrize("columns", [60, 120])
def test_no_text_of_the_log_drives_the_terminal(hostile: str, columns: int) -> None:
    code, shown = terminal("log", "--url", hostile, "--account", "1", columns=columns)
    assert code == 0
    for harm in ("\x1b[31m", "\x9b", "\u202e", "\u2066", "\x07"):
        assert harm not in shown
    bare = re.sub(r"\x1b\[[0-9;]*m|\s", "", shown)
    assert "\\x1b[31mred" in bare
    assert "[bold]" in bare
    assert "…" in bare
    assert len(bare) < 5000
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines())) <= columns


def test_json_holds_the_whole_text_but_no_character_that_a_terminal_obeys(hostile: str) -> None:
    ran = auditdb("log", "--url", hostile, "--account", "1")
    assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", ran.stdout) is None
    (event,) = lines(ran)
    for column in ("item_label", "item_id", "actor_id", "action", "on_behalf_of_label"):
        assert event[column] == HOSTILE
    assert event["actor_label"] == "x" * 1_000_000
    assert event["changes"] == {HOSTILE: {"old": HOSTILE, "new": "y" * 1_000_000}}
    assert event["context"] == {"user_agent": HOSTILE}


@pytest.mark.parametrize("columns", [60, 120])
def test_the_table_says_for_whom_it_was_done(database: str, columns: int) -> None:
    add(database, actor_label="Bo", on_behalf_of_type="customer", on_behalf_of_id="3")
    code, shown = terminal("log", "--url", database, "--account", "1", columns=columns)
    assert code == 0
    words = re.sub(r"\x1b\[[0-9;]*m", "", shown).split()
    assert " ".join(words[words.index("behalf") - 1 :][:4]) == "on behalf of customer:3"


def test_json_is_utf_8_whatever_the_locale(database: str) -> None:
    add(database, item_label="Müller 株式会社")
    options = ["log", "--url", database, "--account", "1", "--limit", "1"]
    ran = program(*options, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert lines(ran)[0]["item_label"] == "Müller 株式会社"
    assert "Müller" in ran.stdout
    table = program(*options, "--text", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert table.returncode == 0
    assert "M\\xfcller" in table.stdout


def test_text_is_shown_as_it_is_where_it_does_no_harm() -> None:
    harmless = "Zoë, 株式会社 👩\u200d👩 ن\u200cم ½"
    assert visible(harmless) == harmless
    assert visible("a\tb\x00\u200e\ue000", 100) == "a\\tb\\x00\\u200e\\ue000"
    assert visible("12345", 5) == "12345"
    assert visible("123456", 5) == "1234…"
