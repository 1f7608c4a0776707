"""What a declaration may not name is refused, and the refusal says where, what and whose it is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
import pytest

from tests.support.hostile_tables import Form, World, track
from tests.support.strangers import Lair, Session, as_role, build

WORLD = World(Form("statement", "one hop"), "plain")
MADE = """
create function lair.title(v text) returns text language sql immutable as 'select v';
create operator lair.<+> (leftarg = text, rightarg = text, function = pg_catalog.textcat);
create domain lair.word as text;
create type lair.mood as enum ('a', 'b');
create aggregate lair.joined (text) (sfunc = pg_catalog.textcat, stype = text);
"""
SLOTS = ("item_id", "item_label", "account", "accounts", "parent_id", "part_name", "when")


@dataclass(frozen=True, slots=True)
class Thing:
    """What an expression names that it may not, and how a refusal calls that."""

    expression: str
    name: str
    is_own: bool = True


THINGS: Mapping[str, Thing] = {
    "function": Thing("lair.title({0}tag)", "title"),
    "operator": Thing("{0}tag operator(lair.<+>) 'x'", re.escape("<+>")),
    "domain": Thing("{0}tag::lair.word::text", "word"),
    "type": Thing("{0}tag::lair.mood::text", "mood"),
    "type by a function's argument": Thing("concat(null::lair.mood, {0}tag)", "mood"),
    "array type": Thing("array_to_string(array[{0}tag]::lair.word[], ',')", "word"),
    "nested function": Thing("upper(coalesce(lair.title({0}tag), 'x'))", "title"),
    "volatile function": Thing("{0}tag || random()::text", "random", is_own=False),
    "volatile function of time": Thing(
        "{0}tag || clock_timestamp()::text", "clock_timestamp", is_own=False
    ),
}


def declared(slot: str, expression: str) -> dict[str, object]:
    """Return a declaration that has an expression in a slot."""
    if slot == "accounts":
        return {slot: f"select {expression.format('m.')} from lair.mem as m where m.uid = new.n"}
    if slot == "when":
        condition = f"{expression.format('new.')} <> ''"
        action = {"action": "t_created", "on": "insert", "when": condition}
        return {"actions": json.dumps([action])}
    declaration: dict[str, object] = {slot: expression.format("")}
    if slot == "parent_id":
        declaration["parent_type"] = "par"
    if slot == "part_name":
        declaration |= {"part": "bits", "item_id": "n"}
    return declaration


def refusal(dba: Session, declaration: dict[str, object]) -> psycopg.Error | None:
    """Return the error with which a declaration is refused, None if it is not."""
    with dba.undone():
        try:
            dba.connection.execute(track(declaration).encode(), declaration)
        except psycopg.Error as error:
            return error
    return None


def said(error: psycopg.Error) -> str:
    """Return all that an error says but its hint."""
    parts = (error.diag.message_primary, error.diag.message_detail)
    return " ".join(part for part in parts if part)


@pytest.mark.parametrize("slot", SLOTS)
def test_what_is_not_the_log_s_own_is_refused_in_each_slot(lair: Lair, slot: str) -> None:
    wrong = []
    with lair.session() as dba:
        build(dba, WORLD, is_tracked=False)
        with as_role(dba, lair.bob):
            dba.run(MADE)
        for kind, thing in THINGS.items():
            error = refusal(dba, declared(slot, thing.expression))
            if error is None or error.sqlstate != "UA005":
                wrong.append(f"{kind}: {error or 'not refused'}")
                continue
            owner = lair.bob if thing.is_own else ""
            named = all(re.search(rf"(?<!\w){name}", said(error)) for name in (slot, thing.name))
            if not named or owner not in said(error) or not error.diag.message_hint:
                wrong.append(f"{kind}: says {said(error)!r}, hint {error.diag.message_hint!r}")
    assert wrong == []


@pytest.mark.parametrize("slot", [slot for slot in SLOTS if slot != "accounts"])
def test_a_subquery_is_for_accounts_alone(lair: Lair, slot: str) -> None:
    with lair.session() as dba:
        build(dba, WORLD, is_tracked=False)
        error = refusal(dba, declared(slot, "(select min(m.acc) from lair.mem as m)"))
    assert error is not None
    assert error.sqlstate == "UA005", error
    assert re.search(rf"\b{slot}\b.*quer|quer.*\b{slot}\b", said(error)), error


@pytest.mark.parametrize("slot", SLOTS)
def test_what_postgres_and_the_log_s_owner_made_is_taken(lair: Lair, slot: str) -> None:
    """The control: the same slots take what is not a stranger's."""
    with lair.session() as dba:
        build(dba, WORLD, is_tracked=False)
        dba.run(
            "create function public.ours(v text) returns text language sql immutable as 'select v'"
        )
        for expression in ("upper({0}tag)", "{0}tag || '!'", "public.ours({0}tag)"):
            assert refusal(dba, declared(slot, expression)) is None


@pytest.mark.parametrize("force", ["", "alter table lair.par force row level security;"])
def test_row_security_on_a_looked_up_table_is_told_when_it_is_tracked(
    lair: Lair, force: str
) -> None:
    with lair.session() as dba:
        build(dba, WORLD, is_tracked=False)
        with as_role(dba, lair.bob):
            dba.run("alter table lair.par enable row level security;" + force)
        error = refusal(dba, {"lookups": '{"p": "pid"}', "item_label": "p.tag"})
    assert error is not None
    assert error.sqlstate == "UA005", error
    assert "par" in said(error)
    assert "create policy" in (error.diag.message_hint or "").lower()
