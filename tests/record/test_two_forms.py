"""The same statements, written in the old form of a row and in the new one: all views agree."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.conftest import _new_database
from tests.record.test_oracle import ACTORS, LIVELY, PARENTS, WRITTEN, clear
from tests.support.core_tables import TABLES, Tables
from tests.support.core_values import small_platform
from tests.support.effort import sized
from tests.support.helpers import newest, value
from tests.support.history import pictures, write_history
from tests.support.old_form import keep_old_form
from tests.support.oracle import apply
from tests.support.servers import Server
from tests.support.statements import Draw, Statement, Statements, added

pytestmark = pytest.mark.slow

# What no two runs have in common; which rows are of one transaction is compared apart.
OF_A_RUN = ("id", "tx", "occurred_at", "key")


@dataclass(frozen=True, slots=True)
class Forms:
    """A session on a database that keeps rows in the old form, and one that does in the new."""

    old: psycopg.Connection
    new: psycopg.Connection

    @property
    def both(self) -> tuple[psycopg.Connection, psycopg.Connection]:
        return self.old, self.new

    def assert_same(self, *, since: tuple[int, int] = (0, 0), at_least: int) -> None:
        """Fail unless every view shows the same in both; `since` says from which id on."""
        shown = [
            pictures(session, f"e.id > {mark}", OF_A_RUN)
            for session, mark in zip(self.both, since, strict=True)
        ]
        for name, rows in shown[0].items():
            assert shown[1][name] == rows, name
        assert len(shown[0]["audit.events"]) >= at_least
        transactions = (
            "select string_agg(e.action || ' ' || e.item_id, ' ' order by e.action, e.item_id)"
            " from audit.events as e where e.id > %s group by e.tx order by e.tx"
        )
        found = [
            session.execute(transactions, (mark,)).fetchall()
            for session, mark in zip(self.both, since, strict=True)
        ]
        assert found[0] == found[1]


@pytest.fixture(scope="module")
def forms(server: Server, template: str) -> Iterator[Forms]:
    """Two databases alike but for the form; tests compare only what they wrote themselves."""
    with ExitStack() as until:
        sessions = [
            until.enter_context(
                closing(psycopg.connect(server.url(until.enter_context(database)), autocommit=True))
            )
            for database in (_new_database(server, template), _new_database(server, template))
        ]
        keep_old_form(sessions[0])
        yield Forms(*sessions)


def test_a_history_of_types_and_tables(forms: Forms) -> None:
    since = (newest(forms.old), newest(forms.new))
    for session in forms.both:
        write_history(session)
    forms.assert_same(since=since, at_least=40)
    kept = (
        "select count(*) filter (where row_values is null), count(row_values) from audit.log"
        " where id > %s and action ~ '_(created|deleted)$'"
        " and item_type in ('thing', 'gone', 'bit')"
    )
    of_old, of_new = (
        session.execute(kept, (mark,)).fetchone()
        for session, mark in zip(forms.both, since, strict=True)
    )
    assert of_old is not None
    assert of_new == (0, of_old[0])
    assert of_old[0] > 8
    assert of_old[1] == 0


def script(draw: Draw, first_id: int, length: int) -> Iterator[Statement]:
    """Draw statements, each for the tables as those before it left them."""
    tables: Tables = {name: {} for name in TABLES}
    for name, rows in small_platform(first_id).items():
        first = added(name, rows, "select")
        tables = apply(tables, first.effects)
        yield first
    statements = Statements(itertools.count(first_id + 1000))
    for _ in range(length):
        kind = draw(st.sampled_from(("insert", "update", "update_each", "mixed", "delete")))
        names = PARENTS if kind == "delete" and draw(st.booleans()) else WRITTEN + LIVELY
        name = draw(st.sampled_from(names))
        drawn: Statement | None = getattr(statements, kind)(draw, tables, name)
        statement = drawn or statements.insert(draw, tables, name)
        if statement and not statement.is_refused:
            tables = apply(tables, statement.effects)
            yield statement


@settings(
    max_examples=sized(4, 60),
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_random_statements(forms: Forms, data: st.DataObject) -> None:
    for session in forms.both:
        clear(session)
    since = (newest(forms.old), newest(forms.new))
    first_id = value(forms.old, "select coalesce(max(id), 0) + 1 from licensing.accounts")
    count = 0
    for statement in script(data.draw, first_id, data.draw(st.integers(20, 60))):
        actor = data.draw(st.sampled_from(ACTORS))
        count += 1
        for session in forms.both:
            with session.transaction():
                session.execute(
                    "select audit.set_actor(%s, %s, %s, %s)",
                    (actor.type, actor.id, actor.label, actor.context and Jsonb(actor.context)),
                )
                statement.run(session)
    forms.assert_same(since=since, at_least=count // 2)
